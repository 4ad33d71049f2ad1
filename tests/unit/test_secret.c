#include <criterion/criterion.h>
#include <stdio.h>

#include "base/secret.h"

Test(secret, passwords_of_urls)
{
	static const struct {
		const char *url, *left;
	} rows[] = {
		{"amqp://user:pass@host:5672/v", "amqp://user:****@host:5672/v"},
		{"redis://:pw@h", "redis://:**@h"},
		{"amqp://u:a/b@c@host", "amqp://u:*****@host"},
		{"amqp://user@host:5672/", "amqp://user@host:5672/"},
		{"redis://localhost:6379/0", "redis://localhost:6379/0"},
		{"unix:///run/redis.sock", "unix:///run/redis.sock"},
		{"amqp://u:@h", "amqp://u:@h"},
		{"", ""},
		{"no url: x@y", "no url: x@y"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[64];
		snprintf(text, sizeof text, "%s", rows[i].url);
		secret_hide(text);
		cr_expect_str_eq(text, rows[i].left);
	}
}
