/* URLs of the broker and names in it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/session.h"
#include "broker/topology.h"

struct good {
	const char *url, *user, *password, *host, *vhost;
	int port;
	bool tls;
	const char *shown;
};

static const struct good goods[] = {
	{"amqp://guest:guest@localhost:5672/", "guest", "guest", "localhost", "/", 5672, false,
	 "amqp://guest@localhost:5672/"},
	{"amqp://h", "guest", "guest", "h", "/", 5672, false, "amqp://guest@h:5672/"},
	{"amqp://", "guest", "guest", "localhost", "/", 5672, false, "amqp://guest@localhost:5672/"},
	{"amqps://u:p@h/v", "u", "p", "h", "v", 5671, true, "amqps://u@h:5671/v"},
	{"amqp://u@h:1/v", "u", "", "h", "v", 1, false, "amqp://u@h:1/v"},
	{"amqp://u:a%40b%3a@h/%2f", "u", "a@b:", "h", "/", 5672, false, "amqp://u@h:5672/"},
	{"amqp://u:p@q@h", "u", "p@q", "h", "/", 5672, false, "amqp://u@h:5672/"},
	{"amqp://u:p@[::1]:7000/x", "u", "p", "::1", "x", 7000, false, "amqp://u@[::1]:7000/x"},
};

Test(broker_url, good)
{
	for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
		const struct good *g = &goods[i];
		struct broker_url url;
		struct err err;
		CLEANUP(freep) char *shown = broker_url_shown(g->url);
		int r = broker_url_parse(g->url, &url, &err);

		cr_assert(r == 0, "%s: %s", g->url, err.text);
		cr_expect_str_eq(url.user, g->user);
		cr_expect_str_eq(url.password, g->password);
		cr_expect_str_eq(url.host, g->host);
		cr_expect_str_eq(url.vhost, g->vhost);
		cr_expect_eq(url.port, g->port);
		cr_expect_eq(url.tls, g->tls);
		cr_expect_str_eq(shown, g->shown);
		broker_url_release(&url);
	}
}

Test(broker_url, bad)
{
	static const char *const bads[] = {
		"",
		"localhost",
		"http://h/",
		"amqp:/h",
		"amqp://h:0/",
		"amqp://h:65536/",
		"amqp://h:12x/",
		"amqp://u:%4@h/",
		"amqp://u:%zz@h/",
		"amqp://u:secret%00@h/",
		"amqp://h/%",
		"amqp://[::1/",
		"amqp://[::1]x/",
		"amqp://h/?heartbeat=1",
		"amqp://u:5672/secret@h/",
		"amqp://u:1/2/secret@h:5672/v",
	};
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
		struct err err;
		CLEANUP(freep) char *shown = broker_url_shown(bads[i]);

		const struct broker_options options = {.url = bads[i]};
		cr_expect(broker_options_check(&options, &err) == ERR_USAGE, "%s", bads[i]);
		cr_expect(strstr(err.text, "amqp://") != NULL);
		cr_expect(strstr(err.text, "secret") == NULL && strstr(shown, "secret") == NULL);
	}
}

Test(topology, names)
{
	char name[TOPOLOGY_NAME_MAX];

	topology_queue(name, "{f}", "default", "high");
	cr_expect_str_eq(name, "{f}.default.high");
	topology_unrouted(name, "f");
	cr_expect_str_eq(name, "f.unrouted");
	topology_returned(name, "f");
	cr_expect_str_eq(name, "f.returned");
	topology_rejected(name, "f");
	cr_expect_str_eq(name, "f.rejected");
}

Test(topology, owns)
{
	cr_expect(topology_owns("f", "f.default.high"));
	cr_expect(topology_owns("f", "f.x"));
	cr_expect(!topology_owns("f", "f"));
	cr_expect(!topology_owns("f", "fx.default"));
	cr_expect(!topology_owns("f", "replies"));
}
