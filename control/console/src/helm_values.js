// The values and commands that set up one cluster, ready to copy. Addresses of the manager are the
// ones under which this page was reached.

export function clusterValues(cluster, { host, restPort, grpcPort }) {
	const idc = (cluster.scopes?.idc ?? '').split('|')[0];
	const location = cluster.scopes?.location ?? '';
	const node = [idc && `      idc: ${JSON.stringify(idc)}`, location && `      location: ${JSON.stringify(location)}`].filter(Boolean);
	const manager = [
		'      manager:',
		'        netAddrs:',
		'          - type: tcp',
		`            addr: ${host}:${grpcPort}`,
	];
	return [
		'manager:',
		'  enable: false',
		'externalManager:',
		'  enable: true',
		`  host: ${host}`,
		`  restPort: ${restPort}`,
		`  grpcPort: ${grpcPort}`,
		'scheduler:',
		'  config:',
		'    manager:',
		`      addr: ${host}:${grpcPort}`,
		`      schedulerClusterID: ${cluster.scheduler_cluster_id}`,
		'seedPeer:',
		'  config:',
		'    scheduler:',
		...manager,
		'        seedPeer:',
		'          enable: true',
		`          clusterID: ${cluster.seed_peer_cluster_id}`,
		'dfdaemon:',
		'  config:',
		...(node.length ? ['    host:', ...node] : []),
		'    scheduler:',
		...manager,
		'redis:',
		'  enable: false',
		'mysql:',
		'  enable: false',
		'',
	].join('\n');
}

export function clusterCommands(cluster) {
	const name = cluster.name.toLowerCase().replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '') || 'cluster';
	return [
		`helm install --wait --create-namespace --namespace ${name} \\`,
		`  skimmer contrib/helm/skimmer -f ${name}-values.yaml`,
		`kubectl --namespace ${name} get pods`,
		'',
	].join('\n');
}
