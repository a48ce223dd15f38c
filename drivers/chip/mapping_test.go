package chip

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	sim "gateagent/sim/chip"
)

// mappings lists what a simulated chip can do over standardized parameters.
func mappings(id int) []sim.Mapping {
	switch d := standardDomain(id); {
	case !canIntegrate(d):
		return []sim.Mapping{sim.GenericMapping, sim.ChipAuthMapping}
	case d.group != nil:
		return []sim.Mapping{sim.GenericMapping, sim.IntegratedMapping}
	}
	return []sim.Mapping{sim.GenericMapping, sim.IntegratedMapping, sim.ChipAuthMapping}
}

// TestMappings opens chips by every mapping over every domain with every
// cipher and reads a file.
func TestMappings(t *testing.T) {
	for _, id := range []int{0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18} {
		for _, m := range mappings(id) {
			for cipher := sim.TripleDES; cipher <= sim.AES256; cipher++ {
				if m == sim.ChipAuthMapping && cipher == sim.TripleDES {
					continue
				}
				p := paceOn(cipher, id)
				p.Mapping, p.Static = m, big.NewInt(12345)
				t.Run(fmt.Sprintf("%d/%d/%d", id, m, cipher), func(t *testing.T) {
					t.Parallel()
					cfg := newConfig(p)
					cfg.Quirks.ShortIntegers = id == 0
					s, _, access := open(t, cfg, byCAN(), Options{})
					want := []string{"GM", "IM", "CAM"}[m] + "-" + suite(cipher).String() + " " + standardDomain(id).name() + " CAN"
					if !strings.HasSuffix(access.Detail, want) || access.ChipMapping != (m == sim.ChipAuthMapping) {
						t.Errorf("%q, want %q", access.Detail, want)
					}
					sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
				})
			}
		}
	}
}

// mappingChip offers the chip authentication mapping and states its key.
func mappingChip(t *testing.T, keyID int) (sim.Config, []byte) {
	t.Helper()
	p := paceOn(sim.AES128, 13)
	k, err := standardDomain(13).generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.Mapping, p.Static = sim.ChipAuthMapping, k.private
	cfg := newConfig(p)
	infos := ber.Make(ber.Set, ber.Make(ber.Sequence, oid(oidCAKey, arcECDH), publicKeyInfo(13, k.public), integer(keyID)))
	cfg.MasterFiles[sim.FileCardSecurity] = ber.Make(ber.Sequence, infos, make([]byte, 900)) // no signature is judged here
	return cfg, infos
}

func TestMappingProof(t *testing.T) {
	cfg, infos := mappingChip(t, 13)
	s, f, access := open(t, cfg, byMRZ(), Options{})
	if !bytes.Equal(access.CardSecurity, cfg.MasterFiles[sim.FileCardSecurity]) || access.CardSecurityFault != nil {
		t.Errorf("EF.CardSecurity: %d bytes, %v", len(access.CardSecurity), access.CardSecurityFault)
	}
	sent := len(f.log)
	if _, err := s.ProveMapping(context.Background(), infos); err != nil {
		t.Error(err)
	}
	_, err := s.ProveMapping(context.Background(), append(bytes.Clone(infos[:len(infos)-1]), 14))
	wantError(t, "the key under another number", err, gate.ChipStatus, gate.CodeProofWrong)
	_, err = s.ProveMapping(context.Background(), ber.Make(ber.Set))
	wantError(t, "no key", err, gate.ChipStatus, gate.CodeProofWrong)
	_, err = s.ProveMapping(context.Background(), []byte("nonsense"))
	wantError(t, "malformed", err, gate.ChipAlgorithm, gate.CodeProofAlgorithm)
	own := ber.Make(ber.Sequence, oid(oidCAKey, arcECDH), ber.Make(ber.Sequence,
		ber.Make(ber.Sequence, ber.Make(ber.OID, []byte{0x2A, 3}), integer(1)), ber.Make(ber.BitString, []byte{0, 1})), integer(13))
	_, err = s.ProveMapping(context.Background(), ber.Make(ber.Set, own))
	wantError(t, "unknown algorithm", err, gate.ChipAlgorithm, gate.CodeProofAlgorithm)
	if len(f.log) != sent {
		t.Error("something was sent")
	}
	sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)

	generic, _, _ := open(t, newConfig(paceOn(sim.AES128, 13)), byMRZ(), Options{})
	_, err = generic.ProveMapping(context.Background(), infos)
	wantError(t, "another mapping", err, gate.ChipNotOffered, gate.CodeProofNotOffered)
}

// TestMappingClone: a chip without the key, and one that leaves the proof out.
func TestMappingClone(t *testing.T) {
	cfg, infos := mappingChip(t, 13)
	cfg.PACE[0].Static = big.NewInt(7)
	s, _, _ := open(t, cfg, byMRZ(), Options{})
	_, err := s.ProveMapping(context.Background(), infos)
	wantError(t, "clone", err, gate.ChipStatus, gate.CodeProofWrong)

	cfg.Quirks.NoMappingProof = true
	s, _, _ = open(t, cfg, byMRZ(), Options{})
	_, err = s.ProveMapping(context.Background(), infos)
	wantError(t, "no proof", err, gate.ChipStatus, gate.CodeProofWithheld)

	for name, data := range map[string][]byte{"odd length": make([]byte, 33), "no padding": make([]byte, 48), "short": make([]byte, 16)} {
		p := &mappingProof{choice: s.pace}
		p.open(s.sm, data)
		wantError(t, name, p.judge(nil), gate.ChipStatus, gate.CodeProofWrong)
	}
}

// TestMappingFolders: wherever EF.CardAccess was found, EF.CardSecurity is
// read and not EF.SOD, which has the same identifiers.
func TestMappingFolders(t *testing.T) {
	for name, q := range map[string]sim.Quirks{
		"plain": {}, "application first": {SelectAppFirst: true}, "no short identifiers": {NoShortEF: true}, "both": {SelectAppFirst: true, NoShortEF: true},
	} {
		cfg, infos := mappingChip(t, 13)
		cfg.Quirks = q
		s, _, access := open(t, cfg, byMRZ(), Options{})
		if !bytes.Equal(access.CardSecurity, cfg.MasterFiles[sim.FileCardSecurity]) {
			t.Errorf("%s: %d bytes, %v", name, len(access.CardSecurity), access.CardSecurityFault)
		}
		if _, err := s.ProveMapping(context.Background(), infos); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
	}
	cfg, _ := mappingChip(t, 13)
	delete(cfg.MasterFiles, sim.FileCardSecurity)
	s, _, access := open(t, cfg, byMRZ(), Options{})
	wantError(t, "no EF.CardSecurity", access.CardSecurityFault, gate.ChipMissing, gate.CodeFileMissing)
	sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
}

// TestMappingAgain: a session that is lost after the proof is renewed only by
// the chip that was proven.
func TestMappingAgain(t *testing.T) {
	for _, clone := range []bool{false, true} {
		cfg, infos := mappingChip(t, 13)
		f := &field{chip: sim.New(cfg)}
		s := New(f, Options{})
		if _, err := s.Open(context.Background(), byMRZ()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ProveMapping(context.Background(), infos); err != nil {
			t.Fatal(err)
		}
		if clone {
			cfg.PACE[0].Static = big.NewInt(7)
		}
		f.chip = sim.New(cfg)
		err := s.reopen(context.Background(), "read DG1")
		if !clone && err != nil {
			t.Error(err)
		}
		if clone {
			wantError(t, "another chip", err, gate.ChipNonsense, gate.CodeProofWrong)
			if _, err := s.ReadFile(context.Background(), gate.DG(1)); err == nil {
				t.Error("the session goes on with another chip")
			}
		}
	}
}

// TestChoice: of several ways the strongest; the chip authentication mapping
// where all else is equal, curves before groups.
func TestChoice(t *testing.T) {
	info := func(arc, cipher, id byte) []byte {
		return ber.Make(ber.Sequence, oid(oidPACE, arc, cipher), integer(2), integer(int(id)))
	}
	for _, c := range []struct {
		want    string
		several bool
		infos   [][]byte
	}{
		{"PACE-ECDH-CAM-AES-CBC-CMAC-128 brainpoolP256r1", false, [][]byte{info(2, 2, 13), info(6, 2, 13), info(4, 2, 13)}},
		{"PACE-ECDH-GM-AES-CBC-CMAC-128 brainpoolP256r1", false, [][]byte{info(4, 2, 13), info(2, 2, 13)}},
		{"PACE-ECDH-GM-AES-CBC-CMAC-192 P-384", true, [][]byte{info(6, 2, 13), info(2, 3, 15)}},
		{"PACE-ECDH-IM-AES-CBC-CMAC-256 P-521", false, [][]byte{info(4, 4, 18)}},
		{"PACE-ECDH-GM-AES-CBC-CMAC-128 P-224", true, [][]byte{info(1, 2, 2), info(2, 2, 10)}},
		{"PACE-DH-GM-AES-CBC-CMAC-256 MODP-2048-256", true, [][]byte{info(1, 4, 2), info(3, 4, 2), info(1, 4, 0)}},
		{"PACE-ECDH-GM-AES-CBC-CMAC-128 P-256", true, [][]byte{info(2, 2, 12), info(2, 2, 77)}}, // ambiguous to the chip
		{"PACE-ECDH-GM-AES-CBC-CMAC-128 P-256", false, [][]byte{info(6, 1, 12), info(2, 2, 12)}},
	} {
		got, offered, err := choosePACE(ber.Make(ber.Set, c.infos...))
		if err != nil || !offered || got == nil || got.String() != c.want || got.several != c.several {
			t.Errorf("%v %v, want %s, %v", got, err, c.want, c.several)
		}
	}
}

// TestOwnDomain: explicit domain parameters of EF.CardAccess count where they
// are those of a named curve or group.
func TestOwnDomain(t *testing.T) {
	g := standardDomain(2).group
	integerOf := func(n *big.Int) []byte { return ber.Make(ber.Integer, []byte{0}, n.Bytes()) }
	x942 := func(q *big.Int) []byte {
		return ber.Make(ber.Sequence, ber.Make(ber.OID, []byte{0x2A, 0x86, 0x48, 0xCE, 0x3E, 2, 1}),
			ber.Make(ber.Sequence, integerOf(g.P), integerOf(g.G), integerOf(q)))
	}
	pkcs3 := ber.Make(ber.Sequence, ber.Make(ber.OID, []byte{0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 3, 1}),
		ber.Make(ber.Sequence, integerOf(g.P), integerOf(g.G), integer(256)))
	for name, c := range map[string]struct {
		algorithm []byte
		ok        bool
	}{
		"X9.42": {x942(g.Q), true}, "PKCS #3": {pkcs3, true}, "another q": {x942(new(big.Int).Sub(g.P, big.NewInt(1))), false},
	} {
		for _, numbered := range []bool{true, false} {
			var id []byte
			if numbered {
				id = integer(40)
			}
			cardAccess := ber.Make(ber.Set, ber.Make(ber.Sequence, oid(oidPACE, 1, 2), integer(2), id), ber.Make(ber.Sequence, oid(oidPACE, 1), c.algorithm, id))
			got, offered, err := choosePACE(cardAccess)
			if err != nil || !offered || (got != nil) != c.ok || c.ok && got.domain.name() != "MODP-2048-256" {
				t.Errorf("%s, numbered %v: %v %v", name, numbered, got, err)
			}
		}
	}
}

// TestMappingFaults: one bit of any answer is wrong. Either something fails,
// or the mapping is proven all the same; a proof is never accepted in vain.
func TestMappingFaults(t *testing.T) {
	cfg, infos := mappingChip(t, 13)
	_, f, _ := open(t, cfg, byMRZ(), Options{})
	for at := range f.log {
		for _, bit := range []int{0, 7, 100, 333} {
			honest := sim.New(cfg)
			n := 0
			s := New(transmitFunc(func(_ context.Context, apdu []byte) ([]byte, error) {
				answer := honest.Process(apdu)
				if n == at && len(answer) > 2 {
					answer = bytes.Clone(answer)
					k := bit % (8 * (len(answer) - 2))
					answer[k/8] ^= 1 << (k % 8)
				}
				n++
				return answer, nil
			}), Options{})
			access, err := s.Open(context.Background(), byMRZ())
			if err != nil {
				chipErrors(t, "open", err)
				continue
			}
			if access.ChipMapping && access.CardSecurityFault == nil && !bytes.Equal(access.CardSecurity, cfg.MasterFiles[sim.FileCardSecurity]) {
				t.Errorf("bit %d of answer %d: EF.CardSecurity differs", bit, at)
			}
			if _, err := s.ProveMapping(context.Background(), infos); err != nil {
				chipErrors(t, "prove", err)
			}
		}
	}
}
