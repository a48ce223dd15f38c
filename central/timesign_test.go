package central

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// Central answers a kiosk's own fresh question, not too often, and only by a
// clock that is right.
func TestTimeSigner(t *testing.T) {
	key := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	kiosk, central := key(1), key(2)
	public := kiosk.Public().(ed25519.PublicKey)
	right, now := true, time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	s := newTimeSigner(central, func() (time.Time, bool) { return now, right }, slog.New(slog.DiscardHandler))
	s.now = func() time.Time { return now }
	var sent []string
	var last []byte
	s.send = func(topic string, payload []byte) { sent, last = append(sent, topic), payload }
	question := func(name string, by ed25519.PrivateKey) (*wire.TimeQuestion, []byte) {
		q, err := wire.NewTimeQuestion(name, by)
		if err != nil {
			t.Fatal(err)
		}
		data, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return q, data
	}
	ask := func(data []byte, answers int, want error) {
		t.Helper()
		sent = nil
		if err := s.Answer("k1", public, data); !errors.Is(err, want) || len(sent) != answers {
			t.Errorf("%d answers and %v, want %d and %v", len(sent), err, answers, want)
		}
	}
	q, data := question("k1", kiosk)
	ask(data, 1, nil)
	a, err := wire.DecodeSignedTime(last)
	if err == nil {
		err = a.Verify(central.Public().(ed25519.PublicKey), q)
	}
	if err != nil || !a.Time.Equal(now) || sent[0] != "gate/v1/k1/time" {
		t.Errorf("answer %+v on %v: %v", a, sent, err)
	}
	_, fresh := question("k1", kiosk)
	ask(fresh, 0, nil) // too soon
	now = now.Add(answerPause)
	ask(data, 0, nil) // repeated
	ask(fresh, 1, nil)
	_, foreign := question("k2", kiosk)
	ask(foreign, 0, wire.ErrFormat)
	_, forged := question("k1", central)
	ask(forged, 0, wire.ErrSignature)
	ask([]byte("{}"), 0, wire.ErrVersion)
	now, right = now.Add(time.Minute), false
	if s.Problem() != "" {
		t.Error("a problem before anybody asked in vain")
	}
	_, later := question("k1", kiosk)
	ask(later, 0, nil)
	if s.Problem() == "" {
		t.Error("nobody is told that central's own clock is not right")
	}
	now = now.Add(complainFor + time.Second)
	if s.Problem() != "" {
		t.Error("the problem is shown for ever")
	}
}

// However many questions come, the answers are few.
func TestTimeSignerIsNoOracle(t *testing.T) {
	kiosk := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	s := newTimeSigner(kiosk, func() (time.Time, bool) { return now, true }, slog.New(slog.DiscardHandler))
	s.now = func() time.Time { return now }
	answers := map[string]int{}
	s.send = func(topic string, _ []byte) { answers[topic]++ }
	for i := range 600 { // a minute, ten questions a second, by two kiosks
		name := fmt.Sprintf("k%d", i%2)
		q, err := wire.NewTimeQuestion(name, kiosk)
		if err != nil {
			t.Fatal(err)
		}
		data, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Answer(name, kiosk.Public().(ed25519.PublicKey), data); err != nil {
			t.Fatal(err)
		}
		now = now.Add(100 * time.Millisecond)
	}
	for _, topic := range []string{"gate/v1/k0/time", "gate/v1/k1/time"} {
		if n := answers[topic]; n < 1 || n > int(time.Minute/answerPause)+1 {
			t.Errorf("%d answers on %s", n, topic)
		}
	}
}
