#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tls_internal.h"

static const char *set(const char *file) { return file && *file ? file : NULL; }

bool tls_has_cert(const struct tls_files *files) { return files && set(files->cert); }

/* OpenSSL would ask on the terminal. */
static int no_passphrase(char *text, int size, int writing, void *data)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)data;
	return -1;
}

static int unusable(struct err *err, const char *setting, const char *file, const char *what)
{
	if (access(file, R_OK) < 0)
		return err_set(err, ERR_USAGE, "%s: %s: %s", setting, file, strerror(errno));
	return err_set(err, ERR_USAGE, "%s: %s: %s (%s)", setting, file, what, tls_reason());
}

/* Whether certificates can be found there one by one, by hashes of their names. */
static bool has_hashes(const char *directory)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		found = len == 10 && strcmp(entry->d_name + 8, ".0") == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* To read all that a system trusts takes some 20 ms of a processor, for each connection: only where there is no other
 * way, or it was asked for. */
static int trust_system(SSL_CTX *context, struct err *err)
{
	const char *directory = getenv(X509_get_default_cert_dir_env());
	const char *file = getenv(X509_get_default_cert_file_env());
	bool one_by_one = !file && has_hashes(directory ? directory : X509_get_default_cert_dir());

	if (one_by_one ? SSL_CTX_set_default_verify_dir(context) : SSL_CTX_set_default_verify_paths(context))
		return 0;
	return err_set(err, ERR_USAGE, "the system's certificates: %s", tls_reason());
}

static int trust(SSL_CTX *context, const char *ca, struct err *err)
{
	if (!ca)
		return trust_system(context, err);
	if (!SSL_CTX_load_verify_locations(context, ca, NULL))
		return unusable(err, "tls_ca", ca, "there is no certificate in PEM");
	return 0;
}

static int identify(SSL_CTX *context, const char *cert, const char *key, struct err *err)
{
	if (!cert)
		return key ? err_set(err, ERR_USAGE, "tls_key: %s: a key is of no use without tls_cert", key) : 0;
	if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
		return unusable(err, "tls_cert", cert, "there is no certificate in PEM");
	if (SSL_CTX_use_PrivateKey_file(context, key ? key : cert, SSL_FILETYPE_PEM) != 1)
		return unusable(err, key ? "tls_key" : "tls_cert", key ? key : cert,
				"there is no private key of the certificate's in PEM, or it has a passphrase");
	return 0;
}

SSL_CTX *tls_context(const struct tls_files *files, struct err *err)
{
	static const struct tls_files none;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	files = files ? files : &none;
	ERR_clear_error();
	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)) {
		err_set(err, ERR_NOMEM, "out of memory");
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	if (trust(context, set(files->ca), err) < 0 || identify(context, set(files->cert), set(files->key), err) < 0) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

int tls_check(const struct tls_files *files, struct err *err)
{
	SSL_CTX *context;

	if (!files || (!set(files->ca) && !set(files->cert) && !set(files->key)))
		return 0;
	context = tls_context(files, err);
	if (!context)
		return err->code;
	SSL_CTX_free(context);
	return 0;
}

/* --- the server's certificate --- */

static int on_certificate(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_story *story = SSL_get_app_data(ssl);

	if (!good)
		tls_say_certificate(story, store, &story->refusal);
	return good;
}

/* Called when the server wants a certificate and there is none. */
static int on_asked(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct tls_story *story = SSL_get_app_data(ssl);

	(void)cert;
	(void)key;
	story->asked = true;
	return 0;
}

static bool is_address(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* The name that is looked for, and told to the server. */
static bool expect(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host);
	return *host && X509_VERIFY_PARAM_set1_host(param, host, 0) && SSL_set_tlsext_host_name(ssl, host);
}

SSL *tls_session(SSL_CTX *context, struct tls_story *story)
{
	SSL *ssl = SSL_new(context);

	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, story);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, on_certificate);
	SSL_CTX_set_client_cert_cb(context, on_asked);
	SSL_set_connect_state(ssl);
	if (!expect(ssl, story->host)) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}
