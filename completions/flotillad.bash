# bash completion for flotillad

_flotillad() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	case $previous in
	--handlers | --config | --signing-keys | --tls-ca | --tls-cert | --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	--work-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	--log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$current") ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "--pool --slots --name --handlers --work-dir --allow-exec --job-user --replay-dir --signing-keys --require-signed --require-user --max-timeout --lease --grace \
			--aging --max-lost --keep-dirs --retry-services --max-body --priorities --metrics --log-format --verbose --amqp --redis \
			--prefix --tls-ca --tls-cert --tls-key --config --help --version" -- "$current")
		;;
	esac
}
complete -o filenames -F _flotillad flotillad
