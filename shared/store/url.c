#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "store/internal.h"

static char *unescape(const char *text, size_t len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%' && i + 2 < len) {
			char hex[3] = {text[i + 1], text[i + 2], 0}, *end;
			long value = strtol(hex, &end, 16);
			if (*end == '\0') {
				out[n++] = (char)value;
				i += 2;
				continue;
			}
		}
		out[n++] = text[i];
	}
	out[n] = '\0';
	return out;
}

static int parse_number(const char *text, long max, int *ret)
{
	char *end;
	long value = strtol(text, &end, 10);
	if (end == text || *end != '\0' || value < 0 || value > max)
		return -1;
	*ret = (int)value;
	return 0;
}

static void parse_user(struct store_url *url, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	if (!colon) {
		url->user = unescape(text, len);
		return;
	}
	if (colon > text)
		url->user = unescape(text, (size_t)(colon - text));
	url->password = unescape(colon + 1, len - (size_t)(colon - text) - 1);
}

static int parse_host(struct store_url *url, const char *text, size_t len, struct err *err)
{
	CLEANUP(freep) char *host = xmemdup0(text, len);
	char *colon = strrchr(host, ':'), *bracket = strrchr(host, ']');

	url->port = 6379;
	if (colon && (!bracket || colon > bracket)) {
		if (parse_number(colon + 1, 65535, &url->port) < 0 || url->port == 0)
			return err_set(err, ERR_USAGE,
				       "Redis URL: the port is no number from 1 to 65535 (in a password, / is "
				       "written %%2F)");
		*colon = '\0';
	}
	if (bracket && host[0] == '[') {
		*bracket = '\0';
		url->host = xstrdup(host + 1);
	} else {
		url->host = xstrdup(*host ? host : "localhost");
	}
	return 0;
}

static int parse_tcp(struct store_url *url, const char *rest, struct err *err)
{
	size_t len = strcspn(rest, "/?#");
	const char *db = rest + len, *at = memrchr(rest, '@', len);

	if (at) {
		parse_user(url, rest, (size_t)(at - rest));
		len -= (size_t)(at - rest) + 1;
		rest = at + 1;
	}
	if (parse_host(url, rest, len, err) < 0)
		return ERR_USAGE;
	if (db[0] == '/' && db[1] != '\0' && parse_number(db + 1, 1 << 20, &url->db) < 0)
		return err_set(err, ERR_USAGE,
			       "Redis URL: the database is no number (in a password, / is written %%2F)");
	if (db[0] == '?' || db[0] == '#')
		return err_set(err, ERR_USAGE, "Redis URL: nothing may follow the database number");
	return 0;
}

int store_url_parse(const char *url, struct store_url *ret, struct err *err)
{
	int r = 0;

	memset(ret, 0, sizeof *ret);
	if (strncasecmp(url, "unix://", 7) == 0 && url[7] == '/')
		ret->path = unescape(url + 7, strlen(url + 7));
	else if (strncasecmp(url, "redis://", 8) == 0)
		r = parse_tcp(ret, url + 8, err);
	else if (strncasecmp(url, "rediss://", 9) == 0)
		r = parse_tcp(ret, url + 9, err);
	else
		r = err_set(err, ERR_USAGE,
			    "Redis URL: it must begin with redis:// or rediss://, or with unix:/// and a path");
	ret->tls = strncasecmp(url, "rediss://", 9) == 0;
	if (r < 0)
		store_url_release(ret);
	return r;
}

void store_url_release(struct store_url *url)
{
	free(url->host);
	free(url->user);
	free(url->password);
	free(url->path);
	memset(url, 0, sizeof *url);
}

int store_options_check(const struct store_options *options, struct err *err)
{
	struct store_url parsed;
	bool tls;

	if (store_url_parse(options->url, &parsed, err) < 0)
		return err->code;
	tls = parsed.tls;
	store_url_release(&parsed);
	return tls ? tls_check(options->tls, err) : 0;
}

char *store_url_shown(const char *url)
{
	struct store_url parsed;
	struct err err;
	struct buf text = BUF_INIT;

	if (store_url_parse(url, &parsed, &err) < 0)
		return xstrdup("(a Redis URL that cannot be read)");
	if (parsed.path)
		buf_addf(&text, "unix://%s", parsed.path);
	else if (parsed.host)
		buf_addf(&text, strchr(parsed.host, ':') ? "%s://[%s]:%d/%d" : "%s://%s:%d/%d",
			 parsed.tls ? "rediss" : "redis", parsed.host, parsed.port, parsed.db);
	store_url_release(&parsed);
	return buf_detach(&text);
}
