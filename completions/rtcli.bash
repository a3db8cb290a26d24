_rtcli_completion() {
    local IFS=$'
'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \
                   COMP_CWORD=$COMP_CWORD \
                   _RTCLI_COMPLETE=complete_bash $1 ) )
    return 0
}

complete -o default -F _rtcli_completion rtcli
