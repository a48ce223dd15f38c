package chip

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	sim "gateagent/sim/chip"
)

// TestChipAuthenticationDH runs every cipher over the standardized groups.
func TestChipAuthenticationDH(t *testing.T) {
	for id := range 3 {
		for cipher := sim.TripleDES; cipher <= sim.AES256; cipher++ {
			t.Run(fmt.Sprintf("%d/%d", id, cipher), func(t *testing.T) {
				t.Parallel()
				cfg := withKeys(newConfig(paceOn(sim.AES128, 12)), keyOn(t, cipher, id, 5*id))
				s, _, _ := open(t, cfg, byMRZ(), Options{})
				detail, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)])
				if want := "CA-DH-" + suite(cipher).String() + " " + standardDomain(id).name(); err != nil || detail != want {
					t.Fatalf("%q %v, want %q", detail, err, want)
				}
				sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))
			})
		}
	}
}

// TestKeyAgreementTemplate: 3DES by the single command where the chip knows no
// other, and by the other where it refuses that one.
func TestKeyAgreementTemplate(t *testing.T) {
	for name, only := range map[string]bool{"MSE:Set KAT only": true, "both": false} {
		k := keyOn(t, sim.TripleDES, 13, 2)
		k.KAT = only
		cfg := withKeys(newConfig(), k)
		s, f, _ := open(t, cfg, byMRZ(), Options{})
		sent := len(f.log)
		if _, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(f.log) - sent; n != 2 { // one to agree, one to prove
			t.Errorf("%s: %d commands", name, n)
		}
	}
	cfg := withKeys(newConfig(), keyOn(t, sim.TripleDES, 13, 2))
	refusing := &refuseTemplate{field: &field{chip: sim.New(cfg)}}
	s := New(refusing, Options{})
	if _, err := s.Open(context.Background(), byMRZ()); err != nil {
		t.Fatal(err)
	}
	refusing.s = s
	if _, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)]); err != nil {
		t.Errorf("MSE:Set AT only: %v", err)
	}
	sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
}

// refuseTemplate answers MSE:Set KAT as a chip does that does not know it, in
// the session's own protection.
type refuseTemplate struct {
	*field
	s *Session
}

func (r *refuseTemplate) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if r.s == nil || apdu[1] != insMSE || apdu[3] != 0xA6 {
		return r.field.Transmit(ctx, apdu)
	}
	// The chip must count the command: it gets a harmless one in its place.
	copyOf := *r.s.sm
	copyOf.ssc = bytes.Clone(r.s.sm.ssc)
	for i := len(copyOf.ssc) - 1; i >= 0; i-- { // back to before the command
		copyOf.ssc[i]--
		if copyOf.ssc[i] != 0xFF {
			break
		}
	}
	return r.field.Transmit(ctx, copyOf.wrap(command{ins: insMSE, p1: 0x41, p2: 0xA6, data: []byte{0x91, 0x00}}))
}

// caBuilder states keys and protocols, as DG14 does.
type caBuilder struct{ infos [][]byte }

func (b *caBuilder) key(t *testing.T, id, ref int) *caBuilder {
	k, err := standardDomain(id).generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.infos = append(b.infos, ber.Make(ber.Sequence, oid(oidCAKey, b.arc(id)), publicKeyInfo(id, k.public), refOf(ref)))
	return b
}

func (b *caBuilder) protocol(arc, cipher byte, version, ref int) *caBuilder {
	b.infos = append(b.infos, ber.Make(ber.Sequence, oid(oidCA, arc, cipher), integer(version), refOf(ref)))
	return b
}

func (*caBuilder) arc(id int) byte {
	if standardDomain(id).group != nil {
		return arcDH
	}
	return arcECDH
}

func refOf(ref int) []byte {
	if ref < 0 {
		return nil
	}
	return integer(ref)
}

// TestChooseCA: keys and protocols belong together by their identifiers.
func TestChooseCA(t *testing.T) {
	b := func() *caBuilder { return &caBuilder{} }
	for want, c := range map[string]*caBuilder{
		"CA-ECDH-AES-CBC-CMAC-256 P-521 03":             b().key(t, 13, 1).key(t, 18, 3).protocol(2, 2, 1, 1).protocol(2, 4, 1, 3),
		"CA-ECDH-AES-CBC-CMAC-128 P-521 03":             b().key(t, 8, 1).key(t, 18, 3).protocol(2, 4, 1, 1).protocol(2, 2, 1, 3),
		"CA-ECDH-3DES-CBC-CBC brainpoolP256r1 ":         b().key(t, 13, -1),
		"CA-DH-3DES-CBC-CBC MODP-2048-256 07":           b().key(t, 2, 7),
		"CA-ECDH-AES-CBC-CMAC-128 brainpoolP256r1 ":     b().key(t, 13, -1).protocol(2, 2, 1, 4),
		"CA-ECDH-AES-CBC-CMAC-192 brainpoolP256r1 09":   b().key(t, 13, 9).protocol(2, 3, 1, -1).protocol(2, 1, 1, -1),
		"CA-ECDH-AES-CBC-CMAC-128 brainpoolP224r1 01":   b().key(t, 2, 2).protocol(1, 2, 1, 2).key(t, 11, 1).protocol(2, 2, 1, 1),
		"CA-ECDH-AES-CBC-CMAC-256 brainpoolP384r1 012C": b().key(t, 16, 300).protocol(2, 4, 1, 300).protocol(2, 4, 2, 300),
	} {
		got, err := chooseCA(ber.Make(0x6E, ber.Make(ber.Set, c.infos...)))
		if err != nil || fmt.Sprintf("%s %X", got, got.id) != want {
			t.Errorf("%v %v, want %s", got, err, want)
		}
	}
	many := b().protocol(2, 2, 1, 1)
	for id := range maxKeys + 1 {
		many.key(t, 12, id)
	}
	for what, c := range map[string]*caBuilder{
		"far too many keys":      many,
		"later version only":     b().key(t, 13, 1).protocol(2, 2, 2, 1),
		"protocol without key":   b().protocol(2, 2, 1, 1),
		"other kind of protocol": b().key(t, 13, 1).protocol(1, 2, 1, 1),
		"other identifier":       b().key(t, 13, 1).key(t, 12, 2).protocol(2, 2, 1, 3),
		"unknown cipher":         b().key(t, 13, 1).protocol(2, 9, 1, 1),
	} {
		if got, err := chooseCA(ber.Make(0x6E, ber.Make(ber.Set, c.infos...))); got != nil || err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// TestExplicitGroup: DH keys state their group, with and without the order.
func TestExplicitGroup(t *testing.T) {
	g := standardDomain(1).group
	num := func(n *big.Int) []byte { return ber.Make(ber.Integer, []byte{0}, n.Bytes()) }
	four := g.Exp(g.G, big.NewInt(4)) // no numbered group has this generator
	x942, pkcs3 := []byte{0x2A, 0x86, 0x48, 0xCE, 0x3E, 2, 1}, []byte{0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 3, 1}
	for want, params := range map[string][][]byte{
		"MODP-2048-224 true": {x942, num(g.P), num(g.G), num(g.Q)}, "MODP-2048-224 true ": {pkcs3, num(g.P), num(g.G)},
		"MODP-2048 true": {x942, num(g.P), num(four), num(g.Q)}, "MODP-2048 false": {pkcs3, num(g.P), num(four), integer(224)},
	} {
		algorithm := ber.Make(ber.Sequence, ber.Make(ber.OID, params[0]), ber.Make(ber.Sequence, params[1:]...))
		y := g.Exp(four, big.NewInt(99))
		d, public, err := parsePublicKey(ber.TLV{Tag: ber.Sequence, Value: append(algorithm, ber.Make(ber.BitString, []byte{0}, num(y))...)})
		if err != nil || !d.known() {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := fmt.Sprintf("%s %v", d.name(), d.group.Q != nil); got != want && got+" " != want || !bytes.Equal(public, y.Bytes()) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
