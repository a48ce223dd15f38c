package chip

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	sim "gateagent/sim/chip"
)

// Synthetic secrets of the simulated documents.
const (
	testCAN = "501337"
	testMRZ = "D23145890734934071279507122"
)

// field is a simulated chip as a Transmitter.
type field struct {
	chip *sim.Chip
	log  [][]byte
}

func (f *field) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	f.log = append(f.log, bytes.Clone(apdu))
	out := f.chip.Process(apdu)
	if out == nil {
		return nil, gate.ErrCardGone
	}
	return out, nil
}

func oid(arc []byte, last ...byte) []byte { return ber.Make(ber.OID, arc, last) }

func integer(n int) []byte { return ber.Make(ber.Integer, intBytes(n)) }

// cardAccess states the PACE of a simulated chip.
func cardAccess(all []sim.PACE) []byte {
	var infos [][]byte
	for _, p := range all {
		infos = append(infos, ber.Make(ber.Sequence, ber.Make(ber.OID, p.OID()), integer(2), integer(p.ID)))
	}
	return ber.Make(ber.Set, infos...)
}

// dg14 states the keys of a simulated chip.
func dg14(keys []sim.ChipKey) []byte {
	var infos [][]byte
	for _, k := range keys {
		var id []byte
		if k.ID > 0 {
			id = integer(k.ID)
		}
		arc, number, public := byte(arcECDH), 0, []byte(nil)
		if k.Curve == nil {
			arc, number, public = arcDH, k.Group.ID, k.Group.Exp(k.Group.G, k.Private).Bytes()
		} else {
			number, public = k.Curve.ID, k.Curve.Marshal(k.Curve.BaseMult(k.Private))
		}
		infos = append(infos,
			ber.Make(ber.Sequence, oid(oidCAKey, arc), publicKeyInfo(number, public), id),
			ber.Make(ber.Sequence, oid(oidCA, arc, byte(k.Cipher)), integer(1), id))
	}
	return ber.Make(0x6E, ber.Make(ber.Set, infos...))
}

// content is a file of n bytes of content under tag.
func content(tag uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return ber.Make(tag, b)
}

func newConfig(pace ...sim.PACE) sim.Config {
	cfg := sim.Config{
		CAN: testCAN, MRZInfo: []byte(testMRZ), PACE: pace, BAC: true, MasterFiles: map[uint16][]byte{},
		Files: map[uint16][]byte{
			sim.FileCOM: content(0x60, 20), sim.FileSOD: content(0x77, 2100), sim.FileDG(1): content(0x61, 93), sim.FileDG(2): content(0x75, 15083),
			sim.FileDG(3): content(0x63, 100), sim.FileDG(15): content(0x6F, 270),
		},
		Denied: []uint16{sim.FileDG(3)},
	}
	if len(pace) > 0 {
		cfg.MasterFiles[sim.FileCardAccess] = cardAccess(pace)
	}
	return cfg
}

// paceOn is PACE by generic mapping over standardized domain parameters.
func paceOn(cipher sim.Cipher, id int) sim.PACE {
	d := standardDomain(id)
	return sim.PACE{Cipher: cipher, Curve: d.curve, Group: id, ID: id}
}

func keyOn(t testing.TB, cipher sim.Cipher, id, ref int) sim.ChipKey {
	d := standardDomain(id)
	k, err := d.generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sim.ChipKey{Cipher: cipher, Curve: d.curve, Group: d.group, Private: k.private, ID: ref}
}

func withKeys(cfg sim.Config, keys ...sim.ChipKey) sim.Config {
	cfg.ChipKeys = keys
	cfg.Files[sim.FileDG(14)] = dg14(keys)
	return cfg
}

func byCAN() gate.AccessKey { return gate.AccessKey{CAN: gate.Secret(testCAN)} }
func byMRZ() gate.AccessKey { return gate.AccessKey{MRZInfo: gate.Secret(testMRZ)} }

func open(t *testing.T, cfg sim.Config, key gate.AccessKey, opts Options) (*Session, *field, gate.Access) {
	t.Helper()
	f := &field{chip: sim.New(cfg)}
	s := New(f, opts)
	t.Cleanup(s.Close)
	access, err := s.Open(context.Background(), key)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, f, access
}

// sameFile reads a file and compares it with what the chip holds.
func sameFile(t *testing.T, s *Session, cfg sim.Config, f gate.File, id uint16) {
	t.Helper()
	got, err := s.ReadFile(context.Background(), f)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	if !bytes.Equal(got, cfg.Files[id]) {
		t.Fatalf("%s: %d bytes differ from the chip's %d", f, len(got), len(cfg.Files[id]))
	}
}

func wantError(t *testing.T, what string, err error, kind gate.ChipErrorKind, code gate.Code) *gate.ChipError {
	t.Helper()
	var e *gate.ChipError
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v, want a chip error", what, err)
	}
	if e.Kind != kind || e.Code != code {
		t.Fatalf("%s: kind %d code %d (%v), want kind %d code %d", what, e.Kind, e.Code, e, kind, code)
	}
	return e
}
