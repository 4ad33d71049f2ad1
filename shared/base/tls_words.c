/* What went wrong, in words for those who run the programs: which certificate, which name, whose fault. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/tls_internal.h"

const char *tls_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_error());
	return text ? text : "no reason given";
}

/* --- the server's certificate --- */

static void add_bio(struct buf *text, BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	if (len > 0)
		buf_add(text, data, (size_t)len);
	BIO_free(bio);
}

static void add_time(struct buf *text, const ASN1_TIME *time)
{
	BIO *bio = BIO_new(BIO_s_mem());

	ASN1_TIME_print(bio, time);
	add_bio(text, bio);
}

static void add_name(struct buf *text, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());

	X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
	add_bio(text, bio);
}

static void add_address(struct buf *text, const ASN1_OCTET_STRING *address)
{
	char shown[INET6_ADDRSTRLEN] = "?";
	int len = ASN1_STRING_length(address);

	if (len == 4 || len == 16)
		inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), shown, sizeof shown);
	buf_adds(text, shown);
}

/* The names and addresses that a certificate is for. */
static void add_names(struct buf *text, const X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t start = text->len;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && text->len < start + 200; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		buf_adds(text, text->len > start ? ", " : "");
		if (name->type == GEN_IPADD)
			add_address(text, name->d.iPAddress);
		else
			buf_add(text, ASN1_STRING_get0_data(name->d.dNSName),
				(size_t)ASN1_STRING_length(name->d.dNSName));
	}
	if (text->len == start)
		buf_adds(text, "no host (it has no subjectAltName)");
	GENERAL_NAMES_free(names);
}

static void add_unknown(struct buf *text, const struct tls_story *story, const X509 *certificate)
{
	buf_adds(text, "unknown CA: the server's certificate was issued by \"");
	add_name(text, X509_get_issuer_name(certificate));
	buf_adds(text, "\", which is not trusted by ");
	if (story->files && story->files->ca && *story->files->ca)
		buf_adds(text, story->files->ca);
	else
		buf_adds(text, "this system; name its certificate with --tls-ca (FLOTILLA_TLS_CA)");
}

void tls_say_certificate(const struct tls_story *story, X509_STORE_CTX *store, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT;
	const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store);

	switch (certificate ? error : X509_V_ERR_UNSPECIFIED) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		buf_adds(&text, X509_STORE_CTX_get_error_depth(store) ? "the server's CA certificate expired on "
								      : "the server's certificate expired on ");
		add_time(&text, X509_get0_notAfter(certificate));
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		buf_adds(&text, "the server's certificate is not valid before ");
		add_time(&text, X509_get0_notBefore(certificate));
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		buf_addf(&text, "name mismatch: the server's certificate is not for %s but for ", story->host);
		add_names(&text, certificate);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: add_unknown(&text, story, certificate); break;
	default: buf_addf(&text, "the server's certificate is not accepted: %s", X509_verify_cert_error_string(error));
	}
	buf_grow(&text, 0);
	err_set(err, ERR_REFUSED, "TLS: %s", text.data);
}

/* --- the rest --- */

static bool is_certificate_alert(int reason)
{
	switch (reason) {
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR: return true;
	default: return false;
	}
}

static int say_protocol(const struct tls_story *story, int reason, struct err *err)
{
	switch (reason) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_BAD_PACKET_LENGTH:
		if (!story->shaken)
			return err_set(err, ERR_REFUSED, "TLS: the server does not speak TLS on this port");
		break;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return err_set(err, ERR_REFUSED, "TLS: the server does not speak TLS 1.2 or newer");
	default: break;
	}
	if (!story->shaken)
		return err_set(err, ERR_REFUSED, "TLS: the handshake failed: %s", tls_reason());
	return err_set(err, ERR_SERVICE, "TLS: the connection failed: %s", tls_reason());
}

static int say_none_given(struct err *err)
{
	return err_set(err, ERR_REFUSED,
		       "TLS: the server demands a client certificate; give it one with --tls-cert and --tls-key "
		       "(FLOTILLA_TLS_CERT, FLOTILLA_TLS_KEY)");
}

int tls_say_failure(const struct tls_story *story, int error, struct err *err)
{
	unsigned long code = ERR_peek_error();
	int reason = code && ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
	bool alert = is_certificate_alert(reason) || reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE;

	if (story->refusal.code) {
		*err = story->refusal;
		return err->code;
	}
	/* Under TLS 1.3 the server looks at our certificate when the handshake is over for us. */
	if (story->asked && !story->heard && alert)
		return say_none_given(err);
	if (!story->heard && alert && tls_has_cert(story->files))
		return err_set(err, ERR_REFUSED, "TLS: the server refuses the client certificate in %s: %s",
			       story->files->cert, tls_reason());
	if (error == SSL_ERROR_SSL && reason != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return say_protocol(story, reason, err);
	if (!story->shaken)
		return err_set(err, ERR_SERVICE, "TLS: the server ended the connection during the handshake");
	return err_set(err, ERR_SERVICE, "the server closed the connection");
}
