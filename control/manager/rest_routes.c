/* All routes, and the few that belong to nobody. */
#include "control/manager/openapi.h"
#include "control/manager/rest_absent.h"
#include "control/manager/rest_clusters.h"
#include "control/manager/rest_jobs.h"
#include "control/manager/rest_live.h"
#include "control/manager/rest_oauth.h"
#include "control/manager/rest_preview.h"
#include "control/manager/rest_roles.h"
#include "control/manager/rest_tables.h"
#include "control/manager/rest_users.h"

static int healthy(struct rest_call *c, struct err *e)
{
	(void)e;
	rest_json(c, json_string("OK"));
	return 0;
}

static const struct route common_routes[] = {
	{"GET", "/healthy", ACCESS_PUBLIC, healthy, "Whether the manager answers", NULL, NULL, NULL,
	 ROUTE_TEXT},
	{"GET", "/_ping", ACCESS_PUBLIC, healthy, "The same, as Harbor asks", NULL, NULL, NULL,
	 ROUTE_TEXT},
	{"GET", "/api/openapi.json", ACCESS_PUBLIC, openapi_answer, "This document", NULL, NULL,
	 NULL, 0},
	{0},
};

const struct route *const *rest_routes(void)
{
	static const struct route *const tables[] = {
		rest_users_routes,   rest_roles_routes,	 rest_clusters_routes, rest_tables_routes,
		rest_records_routes, rest_jobs_routes,	 rest_oauth_routes,    rest_live_routes,
		rest_preview_routes, rest_absent_routes, common_routes,	       NULL,
	};

	return tables;
}
