# Holds a cluster's namespaces and cleans up after them. Outside of them, so that it outlives them.
#
# $1 the cluster's folder   $2 the name of its control groups   $3 the `pause` program
#
# Standard input is the cluster's lifeline: when its other end is closed, by a handle that is dropped
# or by the end of the process that held it, `pause` ends, and with it all processes and mounts.
trap '' HUP INT TERM
unshare --net --mount --pid --fork --mount-proc --propagation private -- "$3" --until-eof

# Control groups are the one thing that is not in a namespace. The kernel may hold an empty one for a moment.
attempt=0
while groups=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$2" 2>/dev/null) && [ -n "$groups" ]; do
    for group in $groups; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    attempt=$((attempt + 1))
    [ "$attempt" -lt 100 ] || { echo "control groups remain: $groups" >&2; break; }
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$2" 2>/dev/null)" ] || sleep 0.05
done

if [ -e "$1/keep" ]; then
    find "$1" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
else
    rm -rf "$1"
fi
