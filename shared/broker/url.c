#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/session.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes; NULL where the escape is bad or names NUL. */
static char *decode(const char *text, size_t len)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return NULL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		buf_add(&out, &c, 1);
	}
	return buf_detach(&out);
}

static int bad(struct err *err, const char *what)
{
	return err_set(err, ERR_USAGE, "AMQP URL: %s; write amqp://user:password@host:port/vhost", what);
}

static int take_scheme(const char **at, struct broker_url *url, struct err *err)
{
	if (strncmp(*at, "amqp://", 7) == 0) {
		*at += 7;
		url->port = 5672;
		return 0;
	}
	if (strncmp(*at, "amqps://", 8) == 0) {
		*at += 8;
		url->port = 5671;
		url->tls = true;
		return 0;
	}
	return bad(err, "it does not begin with amqp:// or amqps://");
}

static int take_user(const char *text, size_t len, struct broker_url *url, struct err *err)
{
	const char *colon = memchr(text, ':', len);
	size_t user_len = colon ? (size_t)(colon - text) : len;

	url->user = decode(text, user_len);
	url->secret = colon;
	url->password = colon ? decode(colon + 1, len - user_len - 1) : xstrdup("");
	if (!url->user || !url->password)
		return bad(err, "a bad %-escape in user or password");
	return 0;
}

static int take_port(const char *text, size_t len, int *ret_port, struct err *err)
{
	int port = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || (port = port * 10 + (text[i] - '0')) > 65535)
			return bad(err, "the port is no number from 1 to 65535");
	}
	if (len && !port)
		return bad(err, "the port is no number from 1 to 65535");
	if (len)
		*ret_port = port;
	return 0;
}

static int take_host(const char *text, size_t len, struct broker_url *url, struct err *err)
{
	const char *end = text + len, *host = text, *host_end;

	if (len && *text == '[') {
		host++;
		host_end = memchr(text, ']', len);
		if (!host_end)
			return bad(err, "'[' without ']'");
		text = host_end + 1;
		if (text < end && *text != ':')
			return bad(err, "something between ']' and the port");
	} else {
		host_end = memchr(text, ':', len);
		if (!host_end)
			host_end = end;
		text = host_end;
	}
	url->host = host_end > host ? decode(host, (size_t)(host_end - host)) : xstrdup("localhost");
	if (!url->host)
		return bad(err, "a bad %-escape in the host");
	return text < end ? take_port(text + 1, (size_t)(end - text - 1), &url->port, err) : 0;
}

static int parse(const char *at, struct broker_url *url, struct err *err)
{
	const char *slash, *sign;
	size_t len;
	int r = take_scheme(&at, url, err);

	if (r)
		return r;
	if (strpbrk(at, "?#"))
		return bad(err, "options after '?' or '#' are not supported");
	slash = strchr(at, '/');
	len = slash ? (size_t)(slash - at) : strlen(at);
	sign = memrchr(at, '@', len);
	r = sign ? take_user(at, (size_t)(sign - at), url, err) : take_user("guest:guest", 11, url, err);
	url->secret = url->secret && sign;
	if (r)
		return r;
	if (sign) {
		len -= (size_t)(sign + 1 - at);
		at = sign + 1;
	}
	r = take_host(at, len, url, err);
	if (r)
		return r;
	/* A password with a / in it would be taken for a port and a virtual host, and shown as one. */
	if (slash && strchr(slash, '@'))
		return bad(err, "an @ behind a /: write / as %2F in a password, and @ as %40 in a virtual host");
	url->vhost = slash && slash[1] ? decode(slash + 1, strlen(slash + 1)) : xstrdup("/");
	return url->vhost ? 0 : bad(err, "a bad %-escape in the virtual host");
}

int broker_url_parse(const char *url, struct broker_url *ret, struct err *err)
{
	struct broker_url parsed = {0};
	int r = parse(url, &parsed, err);

	if (r)
		broker_url_release(&parsed);
	else
		*ret = parsed;
	return r;
}

void broker_url_release(struct broker_url *url)
{
	free(url->user);
	free(url->password);
	free(url->host);
	free(url->vhost);
	memset(url, 0, sizeof *url);
}

int broker_options_check(const struct broker_options *options, struct err *err)
{
	struct broker_url parsed;
	bool tls;

	if (broker_url_parse(options->url, &parsed, err))
		return err->code;
	tls = parsed.tls;
	broker_url_release(&parsed);
	return tls ? tls_check(options->tls, err) : 0;
}

char *broker_url_shown(const char *url)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT;
	struct broker_url parsed;
	struct err ignored;

	if (broker_url_parse(url, &parsed, &ignored))
		return xstrdup("(not an AMQP URL)");
	assert(parsed.host);
	buf_addf(&out, "%s://%s@", parsed.tls ? "amqps" : "amqp", parsed.user);
	buf_addf(&out, strchr(parsed.host, ':') ? "[%s]" : "%s", parsed.host);
	buf_addf(&out, ":%d%s%s", parsed.port, *parsed.vhost == '/' ? "" : "/", parsed.vhost);
	broker_url_release(&parsed);
	return buf_detach(&out);
}
