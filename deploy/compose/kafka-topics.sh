#!/bin/bash
# Makes the topics that do not exist yet. What exists stays as it is: more partitions would change which one
# a key is on, and so break the order of an aggregate's events.
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
    # <topic>.<consumer group>.dlq, one for each group that reads the topic.
    printf "%s.dlq 1 $dead_ms\n" order-events.products order-events.notifications stock-events.orders \
        user-events.notifications
}

kafka_topics() { /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 "$@"; }
export -f kafka_topics

# One JVM finds out that there is nothing to do; else one for each topic, two at a time.
existing=$(kafka_topics --list)
while read -r topic count retention_ms; do
    grep -qxF "$topic" <<<"$existing" || echo "$topic $count $retention_ms"
done < <(topics) | xargs -r -L 1 -P 2 bash -euc \
    'kafka_topics --create --if-not-exists --topic "$0" --partitions "$1" --replication-factor 1 \
        --config retention.ms="$2" --config cleanup.policy=delete'
