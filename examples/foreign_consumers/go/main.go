// BROKERS=… TOPIC=orders.events GROUP=warehouse go run .
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo" // reads lz4 by itself; its partitioner is Java's (murmur2)
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("BROKERS"), ",")...),
		kgo.ConsumerGroup(os.Getenv("GROUP")), // the classic protocol, cooperative-sticky
		kgo.ConsumeTopics(os.Getenv("TOPIC")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	had := map[string]bool{} // yours: a table, written in the transaction of what you do
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(record *kgo.Record) {
			headers := map[string]string{}
			for _, header := range record.Headers {
				headers[header.Key] = string(header.Value)
			}
			var body struct { // unknown fields are ignored
				OrderID string `json:"order_id"`
			}
			err := json.Unmarshal(record.Value, &body)
			if id := headers["ce_id"]; err != nil || id == "" || body.OrderID == "" { // tell a person; never stop
				fmt.Fprintf(os.Stderr, "skipped %d/%d: malformed (%v)\n", record.Partition, record.Offset, err)
			} else if !had[id] {
				fmt.Println(headers["ce_type"], body.OrderID, id)
				had[id] = true
			}
		})
		if err := client.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil { // after the work: at least once
			fmt.Fprintln(os.Stderr, "not committed, so it comes again:", err)
		}
	}
}
