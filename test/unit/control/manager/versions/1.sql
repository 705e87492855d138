-- A manager's database as version 1 left it; never change it: it is what is out there.
BEGIN TRANSACTION;
CREATE TABLE applications ( id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL, bio TEXT NOT NULL DEFAULT '', priority TEXT NOT NULL DEFAULT '{}', created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);
INSERT INTO "applications" VALUES(1,'a','u','','{}',1700000000000,1700000000000);
CREATE TABLE cluster_links ( seed_peer_cluster_id INTEGER NOT NULL REFERENCES seed_peer_clusters ON DELETE CASCADE, scheduler_cluster_id INTEGER NOT NULL REFERENCES scheduler_clusters ON DELETE CASCADE, PRIMARY KEY (seed_peer_cluster_id, scheduler_cluster_id)) WITHOUT ROWID;
INSERT INTO "cluster_links" VALUES(1,1);
CREATE TABLE scheduler_clusters ( id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '', config TEXT NOT NULL DEFAULT '{}', client_config TEXT NOT NULL DEFAULT '{}', seed_client_config TEXT NOT NULL DEFAULT '{}', scopes TEXT NOT NULL DEFAULT '{}', is_default INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);
INSERT INTO "scheduler_clusters" VALUES(1,'cluster-1','','{"candidate_parent_limit":4}','{"load_limit":200}','{}','{}',1,1700000000000,1700000000000);
CREATE TABLE schedulers ( id INTEGER PRIMARY KEY, hostname TEXT NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL, idc TEXT NOT NULL DEFAULT '', location TEXT NOT NULL DEFAULT '', features TEXT NOT NULL DEFAULT '[]', state TEXT NOT NULL DEFAULT 'inactive', scheduler_cluster_id INTEGER NOT NULL REFERENCES scheduler_clusters, keep_alive_ms INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, UNIQUE (hostname, ip, scheduler_cluster_id));
INSERT INTO "schedulers" VALUES(1,'s','10.0.0.1',8002,'','','[]','inactive',1,0,1700000000000,1700000000000);
CREATE TABLE seed_peer_clusters ( id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '', config TEXT NOT NULL DEFAULT '{}', created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);
INSERT INTO "seed_peer_clusters" VALUES(1,'cluster-1','','{"load_limit":2000}',1700000000000,1700000000000);
CREATE TABLE seed_peers ( id INTEGER PRIMARY KEY, hostname TEXT NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL, download_port INTEGER NOT NULL, type TEXT NOT NULL DEFAULT 'super', idc TEXT NOT NULL DEFAULT '', location TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'inactive', seed_peer_cluster_id INTEGER NOT NULL REFERENCES seed_peer_clusters, keep_alive_ms INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, UNIQUE (hostname, ip, seed_peer_cluster_id));
INSERT INTO "seed_peers" VALUES(1,'p','10.0.0.2',4000,4000,'super','','','inactive',1,0,1700000000000,1700000000000);
COMMIT;
PRAGMA user_version = 1;
