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

# What is missing of both, a line of arguments of one of Kafka's programs each: each line is a JVM. The argument is what is there.
missing_topics() {
    local topic count retention_ms
    while read -r topic count retention_ms; do
        grep -qxF "$topic" <<<"$1" ||
            echo "topics --create --if-not-exists --topic $topic --partitions $count --replication-factor 1" \
                "--config retention.ms=$retention_ms --config cleanup.policy=delete"
    done < <(topics)
}

# All that an account lacks of one right is one line.
missing_rights() {
    local account right topic options lacking
    while read -r account right; do
        case $right in
            READ) options="--consumer --group $account" ;;
            WRITE) options="--operation WRITE" ;;
        esac
        lacking=
        while read -r topic; do
            grep -qxF "$account $right $topic" <<<"$1" || lacking+=" --topic $topic"
        done < <(rights | sed -n "s/^$account $right //p")
        [ -z "$lacking" ] || echo "acls --add --allow-principal User:$account $options$lacking"
    done < <(rights | cut -d' ' -f1,2 | sort -u)
}

# What Kafka lists, as lines "<account> <READ or WRITE> <TOPIC or GROUP> <name>".
listed_rights() {
    local resource= line
    while read -r line; do
        if [[ $line =~ resourceType=([A-Z]+),\ name=([^,]+), ]]; then
            resource="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
        elif [[ $line =~ User:([^,]+),\ host=\*,\ operation=(READ|WRITE),\ permissionType=ALLOW ]]; then
            echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]} $resource"
        fi
    done
}

# The rights that are there, as lines "<account> <READ or WRITE> <topic>", from what Kafka lists. Who may read a topic, but not as a
# group, reads nothing: Kafka's program gives the two one after the other, and may have ended in between.
existing_rights() {
    local listed account right kind name
    listed=$(listed_rights)
    while read -r account right kind name; do
        [ "$kind" = TOPIC ] || continue
        [ "$right" = WRITE ] || grep -qxF "$account READ GROUP $account" <<<"$listed" || continue
        echo "$account $right $name"
    done <<<"$listed"
}

umask 077
# These programs do little else than start, and half of that is to read how to log: warnings on standard error need no file.
export KAFKA_JVM_PERFORMANCE_OPTS='-XX:+UseSerialGC -XX:TieredStopAtLevel=1'
# A blank: where there is nothing Kafka's script puts options for JMX, which take as much as a third of the rest.
export KAFKA_JMX_OPTS=' '
# There are none, but then it does not start a process for each of its hundred jars to ask whether it is one.
export INCLUDE_TEST_JARS=true
logging=org.apache.logging.log4j
export KAFKA_LOG4J_OPTS="-Dlog4j2.loggerContextFactory=$logging.simple.SimpleLoggerContextFactory -D$logging.simplelog.level=WARN"
export operator=/tmp/operator.properties
cat >"$operator" <<END
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="operator" \
  password="${KAFKA_OPERATOR_PASSWORD:?is not set}";
END

# What one of Kafka's programs prints. They print errors in the same place, where whoever reads a list would take them for a part of it.
kafka() {
    local tool=$1 printed
    shift
    if printed=$("/opt/kafka/bin/kafka-$tool.sh" --bootstrap-server kafka:9092 --command-config "$operator" "$@"); then
        echo "$printed"
    else
        echo "$printed" >&2
        return 1
    fi
}
export -f kafka

# It starts with the broker. A JVM that waits would take from it what it needs to start.
until (: </dev/tcp/kafka/9092) 2>/dev/null; do
    [ "$SECONDS" -lt 120 ] || { echo 'nobody listens at kafka:9092' >&2; exit 1; }
    sleep 0.2
done

# Two JVMs find out that there is nothing to do; else two at a time do it. The image has BusyBox's xargs, which knows no `-L`: a line is
# one argument here, and its words are split by the shell.
kafka acls --list >/tmp/acls &
listing=$!
topics=$(kafka topics --list)
wait "$listing"
{
    missing_topics "$topics"
    missing_rights "$(existing_rights </tmp/acls)"
} | xargs -r -I LINE -P 2 bash -euc 'kafka $1' kafka LINE
