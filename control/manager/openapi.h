/* The API's description, made of the same tables that serve it. */
#ifndef CONTROL_MANAGER_OPENAPI_H
#define CONTROL_MANAGER_OPENAPI_H

#include "control/manager/rest.h"

/* OpenAPI 3.1. */
json_t *openapi_document(void);
int openapi_answer(struct rest_call *c, struct err *e);

#endif
