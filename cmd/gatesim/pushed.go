package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"gateagent/sim/kiosk"
)

// airport is whose list the demo publishes.
const airport = "SGN"

// revokedWithin is how long a revocation may take to the kiosk, from the start
// of the command that publishes it. A quiet machine needs a fifth of a second.
const revokedWithin = 2 * time.Second

// keeper makes the repository and the central that keeps it.
func (s *site) keeper(ctx context.Context) (err error) {
	if s.repo, err = kiosk.NewRepository(ctx, s.o.bin, s.path("repository"), airport); err != nil {
		return err
	}
	return s.startCentral(ctx)
}

// listSecret is the file of the secret that opens the list.
func (s *site) listSecret() string { return s.path("keys/generation-1.secret") }

// publish publishes the list, and has central give the secret that opens it to
// the kiosks of the airport, sealed to each.
func (s *site) publish(ctx context.Context) error {
	if _, err := kiosk.Run(ctx, s.program("gatectl"), "list", "secret", "add", s.listSecret(), "--central", s.path("central"), "--airport", airport); err != nil {
		return err
	}
	if err := os.Mkdir(s.path("incoming"), 0o700); err != nil { // where lists by hand would come; none does
		return err
	}
	return s.repo.PublishList(ctx, s.path("list"))
}

// revoke takes a traveller off the list and waits until the kiosk knows it.
func (s *site) revoke(ctx context.Context, t *traveller, r *result) error {
	if err := s.repo.Revoke(ctx, s.listSecret(), t.card); err != nil {
		return err
	}
	s.revoked++
	began := time.Now()
	if err := s.repo.PublishRevocations(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if _, err := s.agent.AwaitLine(ctx, "revocations in force", fmt.Sprintf("number=%d ", s.revoked)); err != nil {
		return err
	}
	took := time.Since(began)
	r.note("taken off the list: published, signed by central and in force at the kiosk within %d ms", took.Milliseconds())
	if took > revokedWithin {
		r.differs("the revocation took %v to the kiosk, allowed are %v", took.Round(time.Millisecond), revokedWithin)
	}
	return nil
}
