/* Users and permissions of RabbitMQ: as a document to load, or put in place over the management plugin. What is there
 * is read first, so that what fits is left alone. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "app.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "http.h"

#define HASHING "rabbit_password_hashing_sha256"

struct place {
	const struct app *app;
	struct http *http;
	struct broker_url url;
	char *shown;
	struct buf answer;
};

static json_t *permission_of(const struct access_user *user, const char *prefix)
{
	const struct {
		const char *name, *pattern;
	} rows[] = {{"configure", user->role->configure}, {"write", user->role->write}, {"read", user->role->read}};
	json_t *permission = json_object();

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf pattern = BUF_INIT;
		access_pattern(&pattern, rows[i].pattern, prefix);
		json_object_set_new(permission, rows[i].name, json_string(pattern.data));
		buf_release(&pattern);
	}
	return permission;
}

static json_t *account_of(const struct access_user *user)
{
	char hash[ACCESS_HASH];

	access_hash(hash, user->password);
	return json_pack("{s:s, s:s, s:[]}", "password_hash", hash, "hashing_algorithm", HASHING, "tags");
}

char *access_definitions(const struct access_users *users, const char *prefix, const char *vhost)
{
	json_t *accounts = json_array(), *permissions = json_array();
	json_t *document = json_pack("{s:[{s:s}], s:o, s:o}", "vhosts", "name", vhost, "users", accounts, "permissions",
				     permissions);
	char *text;

	for (size_t i = 0; i < users->count; i++) {
		json_t *account = account_of(&users->at[i]), *permission = permission_of(&users->at[i], prefix);
		json_object_set_new(account, "name", json_string(users->at[i].name));
		json_object_set_new(permission, "user", json_string(users->at[i].name));
		json_object_set_new(permission, "vhost", json_string(vhost));
		json_array_append_new(accounts, account);
		json_array_append_new(permissions, permission);
	}
	text = json_dumps(document, JSON_INDENT(2));
	json_decref(document);
	return text;
}

/* --- over the management plugin --- */

static int unexpected(struct place *place, const char *what, long status, struct err *err)
{
	if (status == 401)
		return err_set(err, ERR_REFUSED,
			       "RabbitMQ's management at %s does not let `%s` in: it takes an administrator's name and "
			       "password in --amqp",
			       place->shown, place->url.user);
	return err_set(err, ERR_REFUSED, "RabbitMQ's management at %s refuses %s (%ld): %.200s", place->shown, what,
		       status, place->answer.data);
}

static int ask(struct place *place, const char *method, const char *path, const json_t *body, const char *what,
	       json_t **ret, struct err *err)
{
	CLEANUP(freep) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	long status;

	if (http_do(place->http, method, path, text, &status, &place->answer, err) < 0)
		return err_set(err, ERR_SERVICE,
			       "RabbitMQ's management at %s cannot be reached: %.200s; is the plugin "
			       "rabbitmq_management enabled there? See --management",
			       place->shown, err->text);
	*ret = NULL;
	if (status == 404 && !body)
		return 0;
	if (status / 100 != 2)
		return unexpected(place, what, status, err);
	if (!body)
		*ret = json_loadb(place->answer.data, place->answer.len, 0, NULL);
	return !body && !*ret ? unexpected(place, what, status, err) : 0;
}

static int put(struct place *place, const char *path, json_t *body, const char *what, struct err *err)
{
	json_t *none = NULL;
	int r = ask(place, "PUT", path, body, what, &none, err);

	json_decref(body);
	return r;
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* Before 3.8 they are one text with commas. */
static bool has_tags(const json_t *account)
{
	const json_t *tags = json_object_get(account, "tags");
	return json_array_size(tags) > 0 || (json_is_string(tags) && json_string_length(tags) > 0);
}

static int apply_account(struct place *place, const struct access_user *user, const char **ret_what, struct err *err)
{
	CLEANUP(buf_release) struct buf path = BUF_INIT;
	json_t *account = NULL;
	int r = 0;

	buf_adds(&path, "/api/users/");
	http_add_part(&path, user->name);
	if (ask(place, "GET", path.data, NULL, "to show a user", &account, err) < 0)
		return err->code;
	if (has_tags(account)) {
		json_decref(account);
		return err_set(err, ERR_REFUSED,
			       "RabbitMQ's user `%s` has a tag, as administrators have: no role of the fleet has one; "
			       "name another user, or take the tag away",
			       user->name);
	}
	*ret_what = !account ? "made" : NULL;
	if (account && (strcmp(text_at(account, "hashing_algorithm"), HASHING) != 0 ||
			!access_hash_fits(text_at(account, "password_hash"), user->password)))
		*ret_what = "password set";
	json_decref(account);
	if (*ret_what)
		r = put(place, path.data, account_of(user), "to set a user", err);
	return r;
}

static bool same_permission(const json_t *a, const json_t *b)
{
	return strcmp(text_at(a, "configure"), text_at(b, "configure")) == 0 &&
	       strcmp(text_at(a, "write"), text_at(b, "write")) == 0 &&
	       strcmp(text_at(a, "read"), text_at(b, "read")) == 0;
}

static int apply_permission(struct place *place, const struct access_user *user, bool *ret_changed, struct err *err)
{
	CLEANUP(buf_release) struct buf path = BUF_INIT;
	json_t *there = NULL, *wanted;

	buf_adds(&path, "/api/permissions/");
	http_add_part(&path, place->url.vhost);
	buf_adds(&path, "/");
	http_add_part(&path, user->name);
	if (ask(place, "GET", path.data, NULL, "to show a permission", &there, err) < 0)
		return err->code;
	wanted = permission_of(user, place->app->services.prefix);
	*ret_changed = !there || !same_permission(there, wanted);
	json_decref(there);
	if (*ret_changed)
		return put(place, path.data, wanted, "to set a permission", err);
	json_decref(wanted);
	return 0;
}

static int apply_user(struct place *place, const struct access_user *user, struct err *err)
{
	const char *account = NULL;
	bool permission = false;

	if (apply_account(place, user, &account, err) < 0 || apply_permission(place, user, &permission, err) < 0)
		return err->code;
	printf("rabbitmq  user %s, %s: %s%s%s\n", user->name, user->role->name, account ? account : "",
	       account && permission ? ", " : "",
	       permission ? "permissions set"
	       : account  ? ""
			  : "as it was");
	return 0;
}

static int open_place(struct place *place, const char *url, struct err *err)
{
	const struct config_services *services = &place->app->services;
	CLEANUP(buf_release) struct buf beside = BUF_INIT;

	if (broker_url_parse(services->amqp_url, &place->url, err) < 0)
		return err->code;
	/* who asks for TLS does not send a password beside it in plain */
	buf_addf(&beside, strchr(place->url.host, ':') ? "%s://[%s]:%d" : "%s://%s:%d",
		 place->url.tls ? "https" : "http", place->url.host, place->url.tls ? 15671 : 15672);
	place->shown = xstrdup(url ? url : beside.data);
	for (size_t len = strlen(place->shown); len > 0 && place->shown[len - 1] == '/'; len--)
		place->shown[len - 1] = '\0';
	if ((strncmp(place->shown, "http://", 7) != 0 && strncmp(place->shown, "https://", 8) != 0) ||
	    strchr(place->shown, '@'))
		return err_set(err, ERR_USAGE,
			       "--management: write http://host:port or https://host:port, or none; its user and "
			       "password are those of --amqp");
	return http_open(place->shown, place->url.user, place->url.password, &services->tls, &place->http, err);
}

int access_apply_rabbitmq(const struct app *app, const struct access_users *users, const char *url, struct err *err)
{
	struct place place = {.app = app, .answer = BUF_INIT};
	int r = open_place(&place, url, err);

	for (size_t i = 0; i < users->count && r == 0; i++)
		r = apply_user(&place, &users->at[i], err);
	http_close(place.http);
	broker_url_release(&place.url);
	buf_release(&place.answer);
	free(place.shown);
	return r;
}
