package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"gateagent/config"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
	"gateagent/match/allowlist"
)

// openSecrets gives the list the secrets that are sealed to the kiosk's key.
// Without an enrolment they lie beside the lists.
func (b *builder) openSecrets(o *allowlist.Options) {
	if b.secrets == nil {
		return
	}
	o.Secret, o.Keep = b.listSecret, b.keepSecret
}

func (b *builder) listSecret(generation uint32) (*allowlist.GenerationSecret, error) {
	if b.sealProblem != "" {
		return nil, fmt.Errorf("%w: %s", wire.ErrNoSealKey, b.sealProblem)
	}
	content, err := b.secrets.Find(generation, b.c.Update.Airport)
	if content == nil || err != nil {
		return nil, err
	}
	defer clear(content)
	return allowlist.ParseSecret(content)
}

func (b *builder) keepSecret(s *allowlist.GenerationSecret) error {
	content := s.Reveal()
	defer clear(content)
	return b.secrets.Keep(wire.ListSecret{Generation: s.Generation, Began: s.Began, Content: content})
}

// command takes central's word, by its kind.
func (b *builder) command(c *wire.Command) error {
	if c.Kind != wire.CommandListSecrets {
		return b.docKeys.Take(c)
	}
	if err := b.secrets.Take(c); err != nil {
		return err
	}
	if err := b.reopenList(); err != nil {
		b.log.Warn("list secrets came, and the list does not open", "err", err)
	}
	return nil
}

// reopenList tries lists for which a secret was missing.
func (b *builder) reopenList() error {
	if b.updates != nil {
		b.updates.Again() // one that was pushed
	}
	return b.store.Reopen()
}

// takeSecrets follows list.dir for a secret that is brought by hand: where the
// kiosk's key is protected, it is sealed to that and does not stay there.
func (b *builder) takeSecrets(ctx context.Context) error {
	path := filepath.Join(b.c.List.Dir, allowlist.SecretFile)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for said := ""; ; {
		err := b.takeSecret(path)
		if text := fmt.Sprint(err); err != nil && text != said {
			b.log.Warn("a list secret that was brought by hand was not taken", "err", err)
			said = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (b *builder) takeSecret(path string) error {
	s, err := allowlist.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Wipe()
	if err := b.keepSecret(s); err != nil {
		return err
	}
	if err := durable.Erase(path); err != nil {
		return err
	}
	b.log.Info("a list secret that was brought by hand is sealed to this kiosk's key and was taken off list.dir", "generation", s.Generation)
	return b.reopenList()
}

// secretNotices says what a stolen disk would tell, and what is wrong with the
// kiosk's key.
func (b *builder) secretNotices(note func(level, source, text string)) {
	switch {
	case b.sealProblem != "":
		note("fault", "list secret", "the kiosk's own key cannot be used, so no list opens: "+b.sealProblem)
	case b.secrets == nil || b.c.List.Protect == config.ProtectFile:
		note("warning", "list secret", "whoever steals this kiosk's disk opens the list: its key lies there in clear (list.protect)")
	}
}
