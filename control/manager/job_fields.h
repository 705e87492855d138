/* What jobs take, by type. */
#ifndef CONTROL_MANAGER_JOB_FIELDS_H
#define CONTROL_MANAGER_JOB_FIELDS_H

#include "control/manager/field.h"

extern const struct field job_preheat_fields[];
extern const struct field job_task_fields[];  /* get_task and delete_task */
extern const struct field job_image_fields[]; /* get_image_distribution */
extern const struct field job_gc_fields[];
extern const struct field job_body_fields[]; /* of POST jobs; args is one of those above */

/* The arguments as people may see them: without credentials. */
json_t *job_args_public(const json_t *args);
json_t *job_url_public(const char *url);
/* What a daemon said: without credentials and without queries of URLs. malloc'ed. */
char *job_text_public(const char *text);

#endif
