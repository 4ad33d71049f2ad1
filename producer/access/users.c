/* The file of users: a map whose `users` is a list of maps. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "access.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/yaml.h"

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
#define NAME_MAX_BYTES 64
#define PASSWORD_MAX 1024

static const struct access_role *find_role(const char *name)
{
	for (size_t i = 0; i < access_role_count; i++)
		if (strcmp(access_roles[i].name, name) == 0)
			return &access_roles[i];
	return NULL;
}

static const char *text_of(const struct yaml_node *node)
{
	return node && node->kind == YAML_SCALAR && strlen(node->text) == node->len &&
			       (node->quoted || yaml_scalar_type(node, NULL) != YAML_TYPE_NULL)
		       ? node->text
		       : NULL;
}

static int take_name(const struct yaml_node *node, struct access_user *user, const struct access_users *others,
		     struct err *err)
{
	const struct yaml_node *at = yaml_get(node, "name");
	const char *name = text_of(at);

	if (!name)
		return yaml_error(err, at ? at : node, "a user needs a `name`");
	if (!*name || strlen(name) > NAME_MAX_BYTES || strspn(name, NAME_CHARACTERS) != strlen(name))
		return yaml_error(err, at, "`name` must be 1 to %d characters of A-Za-z0-9_.-", NAME_MAX_BYTES);
	if (strcmp(name, "default") == 0)
		return yaml_error(err, at, "`default` is Redis' own user; name another");
	for (size_t i = 0; i < others->count; i++)
		if (strcmp(others->at[i].name, name) == 0)
			return yaml_error(err, at, "the user `%s` stands here twice", name);
	user->name = xstrdup(name);
	return 0;
}

static int take_role(const struct yaml_node *node, struct access_user *user, struct err *err)
{
	const struct yaml_node *at = yaml_get(node, "role");
	const char *name = text_of(at);

	user->role = name ? find_role(name) : NULL;
	if (!user->role)
		return yaml_error(err, at ? at : node,
				  "`role` of the user `%s` must be stranger, client, worker, operator or monitor",
				  user->name);
	return 0;
}

static char *beside(const char *file, const char *path)
{
	const char *slash = path[0] == '/' ? NULL : strrchr(file, '/');
	struct buf whole = BUF_INIT;

	if (slash)
		buf_add(&whole, file, (size_t)(slash + 1 - file));
	buf_adds(&whole, path);
	return buf_detach(&whole);
}

/* Without the end of its line. */
static int read_secret(const struct yaml_node *at, const char *path, char **ret, struct err *err)
{
	CLEANUP(freep) char *where = beside(at->file, path);
	CLEANUP(closep) int fd = open(where, O_RDONLY | O_CLOEXEC);
	char text[PASSWORD_MAX + 2];
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text);

	if (len < 0)
		return yaml_error(err, at, "%s cannot be read: %s", where, strerror(errno));
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	*ret = xmemdup0(text, (size_t)len);
	explicit_bzero(text, sizeof text);
	return 0;
}

static int take_password(const struct yaml_node *node, struct access_user *user, struct err *err)
{
	static const char *const keys[] = {"password", "password_file", "password_env"};
	const struct yaml_node *at = NULL;
	const char *text, *from;
	size_t which = 0;

	for (size_t i = 0; i < 3; i++) {
		const struct yaml_node *found = yaml_get(node, keys[i]);
		if (found && at)
			return yaml_error(err, found, "`%s` beside `%s`: name one of them", keys[i], keys[which]);
		if (found) {
			at = found;
			which = i;
		}
	}
	text = text_of(at);
	if (!text)
		return yaml_error(err, at ? at : node,
				  "the user `%s` needs `password_file`, `password_env` or `password`", user->name);
	if (which == 1 && read_secret(at, text, &user->password, err) < 0)
		return err->code;
	if (which == 2) {
		from = getenv(text);
		if (!from)
			return yaml_error(err, at, "the variable %s is not set", text);
		user->password = xstrdup(from);
	} else if (which == 0) {
		user->password = xstrdup(text);
	}
	if (!user->password[0] || strlen(user->password) > PASSWORD_MAX)
		return yaml_error(err, at, "the password of `%s` is %s", user->name,
				  user->password[0] ? "longer than 1024 bytes" : "empty");
	return 0;
}

static int check_keys(const struct yaml_node *node, const char *const *known, struct err *err)
{
	for (size_t i = 0; i < node->count; i++) {
		const char *const *word = known;
		while (*word && strcmp(*word, node->items[i]->key) != 0)
			word++;
		if (!*word)
			return yaml_error(err, node->items[i], "`%.60s` is no key here", node->items[i]->key);
	}
	return 0;
}

static int take_user(const struct yaml_node *node, struct access_users *users, struct err *err)
{
	static const char *const known[] = {"name", "role", "password", "password_file", "password_env", NULL};
	struct access_user *user = &users->at[users->count];

	if (node->kind != YAML_MAP)
		return yaml_error(err, node, "a user must be a map, not %s", yaml_describe(node));
	if (check_keys(node, known, err) < 0 || take_name(node, user, users, err) < 0)
		return err->code;
	users->count++; /* it holds something */
	if (take_role(node, user, err) < 0 || take_password(node, user, err) < 0)
		return err->code;
	return 0;
}

int access_users_load(const char *file, struct access_users *ret, struct err *err)
{
	static const char *const known[] = {"users", NULL};
	CLEANUP(yaml_node_freep) struct yaml_node *root = NULL;
	const struct yaml_node *list;
	struct access_users users = {0};

	if (yaml_load(file, &root, err) < 0) {
		err->code = ERR_INPUT; /* a file that is not there is bad input too */
		return ERR_INPUT;
	}
	list = yaml_get(root, "users");
	if (!list || list->kind != YAML_SEQ)
		return yaml_error(err, list ? list : root, "there must be a list `users`");
	if (check_keys(root, known, err) < 0)
		return err->code;
	users.at = xcalloc(list->count ? list->count : 1, sizeof *users.at);
	for (size_t i = 0; i < list->count; i++)
		if (take_user(list->items[i], &users, err) < 0) {
			access_users_release(&users);
			return err->code;
		}
	*ret = users;
	return 0;
}

void access_users_release(struct access_users *users)
{
	for (size_t i = 0; i < users->count; i++) {
		struct access_user *user = &users->at[i];
		if (user->password)
			explicit_bzero(user->password, strlen(user->password));
		free(user->password);
		free(user->name);
	}
	free(users->at);
	*users = (struct access_users){0};
}
