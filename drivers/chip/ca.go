package chip

import (
	"context"
	"errors"

	"gateagent/gate"
	"gateagent/internal/ber"
)

const stepCA = "chip authentication"

// ChipAuthenticate runs chip authentication version 1 (ICAO 9303-11 section
// 6.2) with the strongest key that dg14 states, restarts secure
// messaging and proves the new session by one protected command.
func (s *Session) ChipAuthenticate(ctx context.Context, dg14 []byte) (string, error) {
	if err := s.alive(stepCA); err != nil {
		return "", err
	}
	c, err := chooseCA(dg14)
	switch {
	case errors.Is(err, errNoCA):
		return "", fault(gate.ChipNotOffered, gate.CodeProofNotOffered, stepCA, 0, err)
	case err != nil:
		return "", fault(gate.ChipAlgorithm, gate.CodeProofAlgorithm, stepCA, 0, err)
	}
	if err := s.runCA(ctx, c); err != nil {
		return c.String(), err
	}
	s.ca = c
	return c.String(), nil
}

// runCA agrees on new keys with the chip's static key and proves them.
func (s *Session) runCA(ctx context.Context, c *caChoice) error {
	a := agreeAhead(c.domain, s.opts.Rand, c.key)
	defer a.wipe()
	if err := s.sendCAKey(ctx, c, a); err != nil {
		return err
	}
	s.dropSecure()
	s.sm = newSecure(c.suite, a.secret, nil)
	return s.proveSession(ctx)
}

// agreed gives our public value once it and the secret are computed.
func agreed(a *agreement) ([]byte, error) {
	err := a.settle()
	switch {
	case err != nil && a.random:
		return nil, randomFault(stepCA, err)
	case err != nil:
		return nil, fault(gate.ChipAlgorithm, gate.CodeProofAlgorithm, stepCA, 0, err)
	}
	return a.own.public, nil
}

// sendCAKey hands our ephemeral key to the chip (section 6.2.4): by MSE:Set AT
// and GENERAL AUTHENTICATE with AES, by MSE:Set KAT alone with 3DES. A chip
// may know the former with 3DES too; one that refuses the latter keeps its
// session (section 6.2.4.1) and is asked that way.
func (s *Session) sendCAKey(ctx context.Context, c *caChoice, a *agreement) error {
	var id []byte
	if c.id != nil {
		id = ber.Make(0x84, c.id)
	}
	template := func() error {
		set := command{ins: insMSE, p1: 0x41, p2: 0xA4, data: append(ber.Make(0x80, c.oid), id...)}
		if err := s.sendCAStep(ctx, set); err != nil {
			return err
		}
		public, err := agreed(a)
		if err != nil {
			return err
		}
		return s.sendCAStep(ctx, command{
			ins: insGeneralAuthenticate, data: ber.Make(0x7C, ber.Make(0x80, public)), ne: maxShortNe, short: true,
		})
	}
	if c.suite != suite3DES {
		return template()
	}
	public, err := agreed(a)
	if err != nil {
		return err
	}
	err = s.sendCAStep(ctx, command{ins: insMSE, p1: 0x41, p2: 0xA6, data: append(ber.Make(0x91, public), id...)})
	var e *gate.ChipError
	if errors.As(err, &e) && e.Kind == gate.ChipStatus {
		if again := template(); again == nil || !errors.As(again, &e) || e.Kind != gate.ChipStatus {
			return again
		}
	}
	return err
}

// sendCAStep sends one command, which must succeed.
func (s *Session) sendCAStep(ctx context.Context, cmd command) error {
	r, err := s.must(ctx, stepCA, cmd)
	if err != nil {
		return err
	}
	if !r.ok() {
		return fault(gate.ChipStatus, gate.CodeProofWithheld, stepCA, r.sw, nil)
	}
	if cmd.ins == insGeneralAuthenticate && len(r.data) > 0 {
		if objects, err := dynamicData(r.data); err != nil || len(objects) != 0 {
			return nonsense(stepCA, "data in the answer to the public key")
		}
	}
	return nil
}

// proveSession sends the first protected command under the new keys: only a
// chip with the private key can answer it. It reads the beginning of DG1,
// which is read next anyway. Any protected answer is proof, whatever its
// status; whether the file can be read is the reading step's question.
func (s *Session) proveSession(ctx context.Context) error {
	s.reads.forget()
	s.place.file = gate.FileNone
	e := files[gate.FileDG1]
	c := selectFile(e.id)
	if s.reads.shortEF == yes && s.place.folder == folderApplication {
		c = command{ins: insReadBinary, p1: 0x80 | e.short, ne: s.first(e.limit)}
	}
	r, err := s.must(ctx, stepCA, c)
	if err != nil {
		var e *gate.ChipError
		if errors.As(err, &e) && e.Kind == gate.ChipNonsense {
			e.Code = gate.CodeProofWrong
		}
		return err
	}
	if c.ins == insReadBinary && r.readable() && len(r.data) > 0 {
		s.reads.ahead, s.reads.aheadFile, s.place.file = r.data, gate.FileDG1, gate.FileDG1
	}
	return nil
}
