package central

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/gate/wire"
)

const (
	// answerPause is the least time between two answers to one kiosk: who
	// got hold of its keys or of the broker gets no more than this.
	answerPause = 5 * time.Second
	// complainFor is how long it is shown that central could not answer.
	complainFor = time.Hour
)

// timeSigner answers the kiosks' questions for the time, and only while
// central's own clock is said to be right. An answer is for one kiosk and one
// question, which that kiosk signed; so nobody can lay in times for later.
type timeSigner struct {
	key   ed25519.PrivateKey
	clock func() (time.Time, bool)
	now   func() time.Time // for the pauses
	send  func(topic string, payload []byte)
	log   *slog.Logger

	mu      sync.Mutex
	last    map[string]answered // guarded by mu; by kiosk of the fleet
	refused time.Time           // guarded by mu; when our own clock last kept us from answering
}

type answered struct {
	at    time.Time
	nonce []byte
}

func newTimeSigner(key ed25519.PrivateKey, clock func() (time.Time, bool), log *slog.Logger) *timeSigner {
	return &timeSigner{key: key, clock: clock, now: time.Now, log: log, last: map[string]answered{}}
}

// Answer answers a question that came on the topic of a kiosk of the fleet. A
// repeated question and one that comes too soon get no answer: the kiosk asks
// again by itself.
func (s *timeSigner) Answer(kiosk string, signing ed25519.PublicKey, payload []byte) error {
	q, err := wire.DecodeTimeQuestion(payload)
	if err != nil {
		return err
	}
	if q.Kiosk != kiosk {
		return fmt.Errorf("%w: the question for the time names another kiosk than its topic", wire.ErrFormat)
	}
	if err := q.Verify(signing); err != nil {
		return err
	}
	if !s.admit(q) {
		return nil
	}
	now, right := s.clock()
	if !right {
		s.mu.Lock()
		s.refused = s.now()
		s.mu.Unlock()
		return nil
	}
	a, err := q.Answer(now, s.key)
	if err != nil {
		return err
	}
	data, err := a.Encode()
	if err != nil {
		return err
	}
	s.send(wire.Topic(kiosk, wire.TopicTime), data)
	return nil
}

// admit says whether the question is new and not too soon.
func (s *timeSigner) admit(q *wire.TimeQuestion) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, last := s.now(), s.last[q.Kiosk]
	if bytes.Equal(last.nonce, q.Nonce) || now.Sub(last.at) < answerPause {
		s.log.Debug("a question for the time is not answered: repeated or too soon", "kiosk", q.Kiosk)
		return false
	}
	s.last[q.Kiosk] = answered{now, q.Nonce}
	return true
}

// Problem says that kiosks asked in vain; empty when none did.
func (s *timeSigner) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused.IsZero() || s.now().Sub(s.refused) > complainFor {
		return ""
	}
	return "Kiosks ask for the time and get none: this machine's own clock is not synchronised. Restore its time synchronisation (timedatectl), or say --assume-clock where something else keeps it right"
}
