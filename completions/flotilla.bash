# bash completion for flotilla

_flotilla() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
	local common="--amqp --redis --prefix --tls-ca --tls-cert --tls-key --signing-keys --config --help"
	local options
	COMPREPLY=()

	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "submit publish run status ls wait result logs cancel retry why workers stats top \
			doctor broker graph import version --help" -- "$current")
		return
	fi
	case $previous in
	--priority)
		mapfile -t COMPREPLY < <(compgen -W "high normal low" -- "$current")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -W "waiting scheduled queued running succeeded failed cancelled skipped expired" \
			-- "$current")
		return
		;;
	--to)
		mapfile -t COMPREPLY < <(compgen -W "yaml" -- "$current")
		return
		;;
	--config | --users | --signing-keys | --tls-ca | --tls-cert | --tls-key)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	esac
	case $command in
	submit)
		options="--args --id --pool --priority --after --dedup --reuse --retries --backoff --timeout --delay --expires --keep \
			--env --run --label --wait --"
		;;
	publish) options="--pool --priority --user-id" ;;
	run) options="--name --set --replay --file-factor --shared-dir --dry-run --detach --json" ;;
	status) options="--json" ;;
	workers) options="--alive --host --pool --json" ;;
	stats) options="--pool --json" ;;
	top) options="--every --once" ;;
	ls) options="--state --run --pool --limit --json" ;;
	wait) options="--any --timeout --unknown-ok" ;;
	logs) options="--follow" ;;
	cancel) options="--run" ;;
	retry) options="--run --failed" ;;
	doctor) options="--repair --messages --json" ;;
	broker) options="apply users --pool --users --management --definitions --acl" ;;
	graph) options="--dot --set" ;;
	import) options="--to --replay --file-factor" ;;
	*) options= ;;
	esac
	case $command:$current in
	publish:[!-]* | run:[!-]* | graph:[!-]* | import:[!-]* | publish: | run: | graph: | import:) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$options $common" -- "$current") ;;
	esac
}
complete -o filenames -F _flotilla flotilla
