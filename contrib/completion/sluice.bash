# bash completion for sluice
_sluice() {
    local cur prev words cword command= i
    _init_completion 2>/dev/null || {
        cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    }
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
        -c|-H|-d|--format|--listener|--claims|--consumer|--user|--run-dir|--pid-file|--workers|--reload-every|--with|--cases) ((i++)) ;;
        -*) ;;
        *) command=${words[i]}; break ;;
        esac
    done
    case $prev in
    -c) COMPREPLY=($(compgen -f -X '!*.@(yaml|yml|json)' -- "$cur") $(compgen -d -- "$cur")); return ;;
    --format) COMPREPLY=($(compgen -W 'text json sarif' -- "$cur")); return ;;
    --with) COMPREPLY=($(compgen -f -X '!*.json' -- "$cur") $(compgen -d -- "$cur")); return ;;
    --cases) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --run-dir) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --user) COMPREPLY=($(compgen -u -- "$cur")); return ;;
    -H|-d) return ;;
    esac
    local options=
    case $command in
    '') COMPREPLY=($(compgen -W 'run check explain routes eval hash schema reload status limits help --version' -- "$cur")); return ;;
    run) options='-c --no-supervisor --user --run-dir --pid-file --workers --reload-every' ;;
    reload) options='-c --run-dir --format' ;;
    check|routes|status) options='-c --format' ;;
    explain)
        options='-c -H -d --listener --claims --consumer --format'
        if [[ $prev == explain ]]; then
            COMPREPLY=($(compgen -W "GET POST PUT PATCH DELETE HEAD OPTIONS $options" -- "$cur"))
            return
        fi ;;
    eval) options='--with --cases --format' ;;
    limits) options='top quotas reset -c --limit --by -n --count --format' ;;
    hash) options='key password argon2id bcrypt yescrypt' ;;
    schema|help) options= ;;
    esac
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
}
complete -F _sluice sluice
