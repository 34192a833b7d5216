#include "services/netns.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LINKS_MAX 256

struct links {
	int index[LINKS_MAX];
	size_t count;
};

// A netlink socket stays in the namespace in which it was made.
static int netlink_in(const char *path)
{
	cleanup_fd int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cleanup_fd int there = open(path, O_RDONLY | O_CLOEXEC);
	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		return -errno;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), failed = fd < 0 ? -errno : 0;
	if (setns(home, CLONE_NEWNET) < 0) {
		failed = -errno;
		close_fd(&fd);
	}
	struct timeval patience = { .tv_sec = 5 };
	if (!failed)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return failed ? failed : fd;
}

static bool stays(const struct spec *spec, const char *name)
{
	if (strcmp(name, "lo") == 0)
		return true;
	for (size_t i = 0; i < spec->keep_links; i++)
		if (strcmp(spec->keep_link[i], name) == 0)
			return true;
	return false;
}

static void take_link(const struct spec *spec, struct nlmsghdr *header, struct links *foreign)
{
	struct ifinfomsg *info = NLMSG_DATA(header);
	struct rtattr *attr = IFLA_RTA(info);
	int left = (int)IFLA_PAYLOAD(header);
	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left))
		if (attr->rta_type == IFLA_IFNAME && !stays(spec, RTA_DATA(attr)) && foreign->count < LINKS_MAX)
			foreign->index[foreign->count++] = info->ifi_index;
}

// One dump's answers, or the acknowledgement of a request; 0 or a negative errno.
static int answers(int fd, const struct spec *spec, struct links *foreign)
{
	static char buffer[32768] __attribute__((aligned(8)));
	for (;;) {
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int left = (int)n;
		for (struct nlmsghdr *header = (void *)buffer; NLMSG_OK(header, (unsigned)left); header = NLMSG_NEXT(header, left)) {
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
			if (header->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(header))->error;
			if (header->nlmsg_type == RTM_NEWLINK && foreign)
				take_link(spec, header, foreign);
		}
	}
}

static int request(int fd, uint16_t type, uint16_t flags, int index)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} message = {
		.header = { .nlmsg_len = sizeof message, .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.info = { .ifi_family = AF_UNSPEC, .ifi_index = index },
	};
	return send(fd, &message, sizeof message, 0) < 0 ? -errno : 0;
}

int netns_clean(const struct spec *spec, struct error *err)
{
	struct links foreign = { .count = 0 };
	if (!spec->netns)
		return 0;
	cleanup_fd int fd = netlink_in(spec->netns);
	if (fd < 0)
		return error_set(err, "system", fd, "network namespace %s", spec->netns);
	int failed = request(fd, RTM_GETLINK, NLM_F_DUMP, 0);
	if (!failed)
		failed = answers(fd, spec, &foreign);
	if (failed)
		return error_set(err, "system", failed, "list links");
	for (size_t i = 0; i < foreign.count; i++) {
		failed = request(fd, RTM_DELLINK, NLM_F_ACK, foreign.index[i]);
		if (!failed)
			failed = answers(fd, spec, NULL);
		// A peer of one deleted before is gone with it; some (the fallback tunnels) cannot be deleted and are in nobody's way.
		if (failed && failed != -ENODEV && failed != -EOPNOTSUPP && failed != -EINVAL)
			return error_set(err, "system", failed, "delete link %d", foreign.index[i]);
	}
	return 0;
}
