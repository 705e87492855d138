/* This host as a message (host_message.h). */
#include "daemon/host_message.h"

static double percent(uint64_t part, uint64_t whole)
{
	return whole == 0 || part > whole ? 0 : 100.0 * (double)part / (double)whole;
}

static void fill_cpu(struct host_message *m, const struct figures *f)
{
	m->times = (Common__V2__CPUTimes)COMMON__V2__CPUTIMES__INIT;
	m->times.user = f->cpu_times[CPU_USER];
	m->times.system = f->cpu_times[CPU_SYSTEM];
	m->times.idle = f->cpu_times[CPU_IDLE];
	m->times.nice = f->cpu_times[CPU_NICE];
	m->times.iowait = f->cpu_times[CPU_IOWAIT];
	m->times.irq = f->cpu_times[CPU_IRQ];
	m->times.softirq = f->cpu_times[CPU_SOFTIRQ];
	m->times.steal = f->cpu_times[CPU_STEAL];
	m->times.guest = f->cpu_times[CPU_GUEST];
	m->times.guest_nice = f->cpu_times[CPU_GUEST_NICE];
	m->cpu = (Common__V2__CPU)COMMON__V2__CPU__INIT;
	m->cpu.logical_count = f->cpu_logical;
	m->cpu.physical_count = f->cpu_physical;
	m->cpu.percent = f->cpu_percent;
	m->cpu.process_percent = f->process_percent;
	m->cpu.times = &m->times;
	m->host.cpu = &m->cpu;
}

static void fill_memory(struct host_message *m, const struct figures *f)
{
	m->memory = (Common__V2__Memory)COMMON__V2__MEMORY__INIT;
	m->memory.total = f->mem_total;
	m->memory.available = f->mem_available;
	m->memory.free = f->mem_free;
	m->memory.used = f->mem_total - f->mem_available;
	m->memory.used_percent = percent(m->memory.used, f->mem_total);
	m->memory.process_used_percent = percent(f->process_resident, f->mem_total);
	m->host.memory = &m->memory;
}

static void fill_disk(struct host_message *m, const struct figures *f)
{
	m->disk = (Common__V2__Disk)COMMON__V2__DISK__INIT;
	m->disk.total = f->disk_total;
	m->disk.free = f->disk_free;
	m->disk.used = f->disk_used;
	m->disk.used_percent = percent(f->disk_used, f->disk_used + f->disk_free);
	m->disk.inodes_total = f->inodes_total;
	m->disk.inodes_free = f->inodes_free;
	m->disk.inodes_used = f->inodes_total - f->inodes_free;
	m->disk.inodes_used_percent = percent(m->disk.inodes_used, f->inodes_total);
	m->host.disk = &m->disk;
}

static void fill_network(struct host_message *m, const struct host_figures *f,
			 const struct host_config *c)
{
	m->network = (Common__V2__Network)COMMON__V2__NETWORK__INIT;
	m->network.tcp_connection_count = f->system.tcp_connections;
	m->network.upload_tcp_connection_count = f->upload_connections;
	if (c->idc) {
		m->network.idc__case = COMMON__V2__NETWORK__IDC__IDC;
		m->network.idc = (char *)c->idc;
	}
	if (c->location) {
		m->network.location__case = COMMON__V2__NETWORK__LOCATION__LOCATION;
		m->network.location = (char *)c->location;
	}
	m->network.max_rx_bandwidth = f->rx_max * 8;
	m->network.max_tx_bandwidth = f->tx_max * 8;
	m->network.rx_bandwidth__case = COMMON__V2__NETWORK__RX_BANDWIDTH__RX_BANDWIDTH;
	m->network.rx_bandwidth = f->rx_rate * 8;
	m->network.tx_bandwidth__case = COMMON__V2__NETWORK__TX_BANDWIDTH__TX_BANDWIDTH;
	m->network.tx_bandwidth = f->tx_rate * 8;
	m->host.network = &m->network;
}

void host_message_fill(struct host_message *m, struct host *h)
{
	const struct host_config *c = host_config(h);
	const struct figures_platform *p = host_platform(h);
	struct host_figures f;

	host_figures(h, &f);
	m->host = (Common__V2__Host)COMMON__V2__HOST__INIT;
	m->host.id = (char *)host_id(h);
	m->host.type = c->is_seed ? 1 : 0;
	m->host.hostname = m->host.name = (char *)c->hostname;
	m->host.ip = (char *)c->ip;
	m->host.port = c->port;
	m->host.download_port = c->download_port;
	m->host.proxy_port = c->proxy_port;
	m->host.scheduler_cluster_id = c->scheduler_cluster_id;
	m->host.disable_shared = c->disable_shared;
	m->host.os = (char *)"linux";
	m->host.platform = (char *)p->id;
	m->host.platform_family = (char *)p->family;
	m->host.platform_version = (char *)p->version;
	m->host.kernel_version = (char *)p->kernel;
	m->build = (Common__V2__Build)COMMON__V2__BUILD__INIT;
	m->build.git_version = (char *)"skimmer-" SKIMMER_VERSION;
	m->build.platform__case = COMMON__V2__BUILD__PLATFORM__PLATFORM;
	m->build.platform = (char *)p->machine;
	m->host.build = &m->build;
	fill_cpu(m, &f.system);
	fill_memory(m, &f.system);
	fill_disk(m, &f.system);
	fill_network(m, &f, c);
}

void host_message_link(const Common__V2__Host *host, uint64_t *tx_out, uint64_t *tx_max_out)
{
	const Common__V2__Network *n = host->network;

	*tx_out = *tx_max_out = 0;
	if (!n)
		return;
	*tx_max_out = n->max_tx_bandwidth / 8;
	if (n->tx_bandwidth__case == COMMON__V2__NETWORK__TX_BANDWIDTH__TX_BANDWIDTH)
		*tx_out = n->tx_bandwidth / 8;
}
