package central_test

import (
	"testing"
	"time"

	"gateagent/gate/wire"
)

// BenchmarkTakeIn measures results a second from one kiosk through TLS, the
// embedded broker and the database to the signed acknowledgement, full
// batches in a window of 64.
func BenchmarkTakeIn(b *testing.B) {
	const window = 64
	c := start(b, b.TempDir(), "")
	k := enrolKiosk(b, c.reg, "k1", c.Ready().Broker).connect(b)
	batches := make([][]byte, 0, b.N/wire.MaxBatchEntries+1)
	for n := 0; n < b.N; n += wire.MaxBatchEntries {
		data, err := k.next(b, wire.MaxBatchEntries).Encode()
		if err != nil {
			b.Fatal(err)
		}
		batches = append(batches, data)
	}
	b.ResetTimer()
	acked := 0
	for i := 0; acked < len(batches); {
		for ; i < len(batches) && i < acked+window; i++ {
			k.conn.Publish(wire.Topic("k1", wire.TopicResults), 1, false, batches[i])
		}
		select {
		case a := <-k.acks:
			acked = max(acked, int(a.Number)/wire.MaxBatchEntries)
		case <-time.After(soon):
			b.Fatalf("stuck at batch %d of %d", acked, len(batches))
		}
	}
	b.ReportMetric(float64(len(batches)*wire.MaxBatchEntries)/b.Elapsed().Seconds(), "results/s")
}
