package central_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"gateagent/central"
	"gateagent/gate/wire"
)

// Variables by which this test binary runs the service instead of the tests,
// so that a real process can be killed.
const (
	envState = "CENTRAL_TEST_STATE"
	envMQTT  = "CENTRAL_TEST_MQTT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envState); dir != "" {
		if err := serve(dir, os.Getenv(envMQTT)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(dir, mqtt string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := config(dir, "")
	c.MQTT = mqtt
	s, err := central.Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

var seed = flag.Uint64("seed", 0, "of what is random; 0: a new one, which is printed")

// TestKilledUnderLoad: whatever central acknowledged is in its database,
// once, with the right content, however it ends.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const rounds = 5
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	rnd := rand.New(rand.NewPCG(s, 1))
	dir, addr := t.TempDir(), freeAddr(t)
	reg := registry(t, dir)
	k := enrolKiosk(t, reg, "k1", "tls://"+addr)
	var sent []*wire.Batch
	acked := uint64(0)
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envState+"="+dir, envMQTT+"="+addr)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the kiosk connects", func() bool { return k.dial() == nil })
		before := acked
		killAt := time.Now().Add(soon) // set once results flow
		for armed := false; time.Now().Before(killAt); {
			sent = k.push(t, sent, acked)
			acked = k.drain(t, sent, acked)
			if acked > before && !armed {
				armed, killAt = true, time.Now().Add(time.Duration(rnd.IntN(300))*time.Millisecond)
			}
		}
		if err := errors.Join(cmd.Process.Kill(), gone(cmd.Wait())); err != nil {
			t.Fatal(err)
		}
		acked = k.drain(t, sent, acked) // what was still on its way
		if acked == before {
			t.Fatalf("round %d: nothing was acknowledged", round)
		}
	}
	results, err := reg.Store.Results(t.Context(), "k1", 0, time.UnixMilli(0), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(results)) < acked {
		t.Fatalf("%d results stored, %d acknowledged", len(results), acked)
	}
	for i, r := range results {
		want := sent[i/batchSize].Entries[i%batchSize]
		if r.Number != uint64(i+1) || !bytes.Equal(r.Body, want.Body) {
			t.Fatalf("result %d: number %d", i+1, r.Number)
		}
	}
	t.Logf("ledger kill-central decided=%d central=%d lost=0 doubled=0 unreadable=0 reordered=0", acked, len(results))
}

const batchSize = 20

// push sends what has not been acknowledged, at most a window of it, and a
// new batch where the window has room. Errors are what a dying broker gives.
func (k *kiosk) push(t *testing.T, sent []*wire.Batch, acked uint64) []*wire.Batch {
	t.Helper()
	const window = 8
	from := int(acked / batchSize)
	if len(sent)-from < window {
		sent = append(sent, k.next(t, batchSize))
		from = len(sent) - 1
	} else {
		time.Sleep(20 * time.Millisecond)
	}
	for _, b := range sent[from:] {
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		k.conn.Publish(wire.Topic("k1", wire.TopicResults), 1, false, data)
	}
	return sent
}

// drain takes acknowledgements in.
func (k *kiosk) drain(t *testing.T, sent []*wire.Batch, acked uint64) uint64 {
	t.Helper()
	for {
		select {
		case a := <-k.acks:
			if err := a.Verify(k.id.AckKey); err != nil {
				t.Fatal(err)
			}
			if a.Number > 0 && a.Number%batchSize == 0 && !bytes.Equal(a.Chain, sent[a.Number/batchSize-1].Chain) {
				t.Fatalf("acknowledged %d with another chain", a.Number)
			}
			acked = max(acked, a.Number)
		default:
			return acked
		}
	}
}

// gone drops the error of a process that was killed, as it was meant to be.
func gone(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
