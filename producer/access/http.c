#include "http.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 10L

/* What is used of the library; the header gives the types. */
#define FUNCTIONS(X)                                                                                                   \
	X(curl_global_init)                                                                                            \
	X(curl_easy_init)                                                                                              \
	X(curl_easy_setopt)                                                                                            \
	X(curl_easy_perform)                                                                                           \
	X(curl_easy_getinfo)                                                                                           \
	X(curl_easy_strerror)                                                                                          \
	X(curl_easy_cleanup)                                                                                           \
	X(curl_slist_append)                                                                                           \
	X(curl_slist_free_all)

/* The header checks the types of options with macros of the functions' names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

struct http {
	void *library;
#define X(name) __typeof__(name) *name;
	FUNCTIONS(X)
#undef X
	CURL *curl;
	struct curl_slist *headers;
	char *base;
	char why[CURL_ERROR_SIZE]; /* what the library says of a failure; empty: nothing */
};

static int load(struct http *http, struct err *err)
{
	http->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!http->library)
		return err_set(err, ERR_SYSTEM,
			       "libcurl is needed to speak to RabbitMQ's management plugin, and is not there (Debian "
			       "package libcurl4); or load what `flotilla broker users --definitions` prints");
#define X(name)                                                                                                        \
	*(void **)&http->name = dlsym(http->library, #name);                                                           \
	if (!http->name)                                                                                               \
		return err_set(err, ERR_SYSTEM, "the libcurl that is installed has no %s", #name);
	FUNCTIONS(X)
#undef X
	return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
	buf_add(data, bytes, size * count);
	return size * count;
}

/* Whom the operator trusts, and nobody else. */
static void use_files(struct http *http, const struct tls_files *files)
{
	http->curl_easy_setopt(http->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (files->ca && *files->ca) {
		http->curl_easy_setopt(http->curl, CURLOPT_CAINFO, files->ca);
		http->curl_easy_setopt(http->curl, CURLOPT_CAPATH, NULL);
	}
	if (tls_has_cert(files)) {
		http->curl_easy_setopt(http->curl, CURLOPT_SSLCERT, files->cert);
		http->curl_easy_setopt(http->curl, CURLOPT_SSLKEY,
				       files->key && *files->key ? files->key : files->cert);
	}
}

int http_open(const char *base, const char *user, const char *password, const struct tls_files *files,
	      struct http **ret, struct err *err)
{
	struct http *http = xcalloc(1, sizeof *http);

	if (load(http, err) < 0) {
		http_close(http);
		return err->code;
	}
	http->curl_global_init(CURL_GLOBAL_DEFAULT);
	http->curl = http->curl_easy_init();
	http->headers = http->curl_slist_append(NULL, "Content-Type: application/json");
	if (!http->curl || !http->headers) {
		http_close(http);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	http->base = xstrdup(base);
	http->curl_easy_setopt(http->curl, CURLOPT_USERNAME, user);
	http->curl_easy_setopt(http->curl, CURLOPT_PASSWORD, password);
	http->curl_easy_setopt(http->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	http->curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, http->headers);
	http->curl_easy_setopt(http->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	http->curl_easy_setopt(http->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	http->curl_easy_setopt(http->curl, CURLOPT_NOSIGNAL, 1L);
	use_files(http, files);
	http->curl_easy_setopt(http->curl, CURLOPT_NOPROXY, "*");
	http->curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, on_body);
	http->curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, http->why);
	*ret = http;
	return 0;
}

/* The library stays loaded: what it left to the process' end would have nowhere to return to. */
void http_close(struct http *http)
{
	if (!http)
		return;
	if (http->headers)
		http->curl_slist_free_all(http->headers);
	if (http->curl)
		http->curl_easy_cleanup(http->curl);
	free(http->base);
	free(http);
}

int http_do(struct http *http, const char *method, const char *path, const char *body, long *ret_status,
	    struct buf *ret, struct err *err)
{
	struct buf url = BUF_INIT;
	CURLcode code;

	buf_addf(&url, "%s%s", http->base, path);
	buf_reset(ret);
	http->curl_easy_setopt(http->curl, CURLOPT_URL, url.data);
	http->curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, method);
	http->curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body);
	if (!body)
		http->curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
	http->curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, ret);
	http->why[0] = '\0';
	code = http->curl_easy_perform(http->curl);
	buf_release(&url);
	if (code != CURLE_OK)
		return err_set(err, ERR_SERVICE, "%s", http->why[0] ? http->why : http->curl_easy_strerror(code));
	http->curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, ret_status);
	buf_grow(ret, 0);
	return 0;
}

void http_add_part(struct buf *path, const char *text)
{
	for (; *text; text++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *text))
			buf_add(path, text, 1);
		else
			buf_addf(path, "%%%02X", (unsigned char)*text);
}
