#!/bin/bash
# Makes the topics and the rights that do not exist yet. A topic that exists stays as it is: more partitions would
# change which one a key is on, and so break the order of an aggregate's events.
set -euo pipefail

# As many consumers of a group as there are partitions can share the work.
partitions=12
# Facts: 7 days. The services remember what they have handled for a day longer (INBOX_RETENTION), so that
# nothing that is read again counts twice.
facts_ms=604800000
# Dead letters: 30 days, for somebody to look.
dead_ms=2592000000

topics() {
    printf "%s $partitions $facts_ms\n" order-events stock-events user-events
    # <topic>.<consumer group>.dlq, one for each group that reads the topic; what is sent again from there goes to .retry.
    printf "%s.dlq 1 $dead_ms\n" order-events.products order-events.notifications \
        stock-events.orders user-events.notifications
    printf "%s.retry 1 $facts_ms\n" order-events.products order-events.notifications \
        stock-events.orders user-events.notifications
}

# <account> WRITE <topic>: a topic of facts is written by the one service that owns them, dead letters by the
# group that could not read the fact. <account> READ <topic>: by a group of the account's own name.
# A group counts its dead letters, and sends them again to itself when its admin port is told to (`/dead-letters/redrive`);
# the operator does it for all of them (`agora dlq`).
# Whatever is not in this list is refused; DESCRIBE comes with each of them, CREATE with none.
rights() {
    cat <<'END'
users WRITE user-events
orders WRITE order-events
orders WRITE stock-events.orders.dlq
orders WRITE stock-events.orders.retry
orders READ stock-events
orders READ stock-events.orders.retry
orders READ stock-events.orders.dlq
products WRITE stock-events
products WRITE order-events.products.dlq
products WRITE order-events.products.retry
products READ order-events
products READ order-events.products.retry
products READ order-events.products.dlq
notifications WRITE order-events.notifications.dlq
notifications WRITE user-events.notifications.dlq
notifications WRITE order-events.notifications.retry
notifications WRITE user-events.notifications.retry
notifications READ order-events
notifications READ user-events
notifications READ order-events.notifications.retry
notifications READ user-events.notifications.retry
notifications READ order-events.notifications.dlq
notifications READ user-events.notifications.dlq
END
}

umask 077
export operator=/tmp/operator.properties
cat >"$operator" <<END
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="operator" \
  password="${KAFKA_OPERATOR_PASSWORD:?is not set}";
END

kafka() {
    local tool=$1
    shift
    "/opt/kafka/bin/kafka-$tool.sh" --bootstrap-server kafka:9092 --command-config "$operator" "$@"
}
export -f kafka

# One JVM finds out that there is nothing to do; else one for each topic, two at a time.
existing=$(kafka topics --list)
while read -r topic count retention_ms; do
    grep -qxF "$topic" <<<"$existing" || echo "$topic $count $retention_ms"
done < <(topics) | xargs -r -L 1 -P 2 bash -euc \
    'kafka topics --create --if-not-exists --topic "$0" --partitions "$1" --replication-factor 1 \
        --config retention.ms="$2" --config cleanup.policy=delete'

# The rights that are there, as lines "<account> <READ or WRITE> <topic>".
existing_rights() {
    local resource= line
    while read -r line; do
        if [[ $line =~ resourceType=([A-Z]+),\ name=([^,]+), ]]; then
            resource="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
        elif [[ $line =~ User:([^,]+),\ host=\*,\ operation=(READ|WRITE),\ permissionType=ALLOW ]]; then
            echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]} $resource"
        fi
    done < <(kafka acls --list) | sed -n 's/ TOPIC / /p'
}

# The same for rights.
existing=$(existing_rights)
while read -r right; do
    grep -qxF "$right" <<<"$existing" || echo "$right"
done < <(rights) | xargs -r -L 1 -P 2 bash -euc '
    case "$1" in
        READ) rights=(--consumer --group "$0") ;;
        WRITE) rights=(--operation WRITE) ;;
    esac
    kafka acls --add --allow-principal "User:$0" "${rights[@]}" --topic "$2" >/dev/null'
