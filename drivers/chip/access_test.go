package chip

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	sim "gateagent/sim/chip"
)

// TestPACE opens a chip with every cipher and kind of password and reads a
// file; TestMappings has the other domains.
func TestPACE(t *testing.T) {
	names := map[sim.Cipher]string{sim.TripleDES: "3DES-CBC-CBC", sim.AES128: "AES-CBC-CMAC-128", sim.AES192: "AES-CBC-CMAC-192", sim.AES256: "AES-CBC-CMAC-256"}
	for _, id := range []int{12, 13} {
		for cipher := sim.TripleDES; cipher <= sim.AES256; cipher++ {
			for name, key := range map[string]gate.AccessKey{"CAN": byCAN(), "MRZ": byMRZ()} {
				p := paceOn(cipher, id)
				t.Run(fmt.Sprintf("%s/%s/%s", p.Curve.Name, names[cipher], name), func(t *testing.T) {
					cfg := newConfig(p)
					s, _, access := open(t, cfg, key, Options{})
					if want := fmt.Sprintf("PACE-ECDH-GM-%s %s %s", names[cipher], p.Curve.Name, name); access.Protocol != gate.CheckPACE || access.Detail != want || !access.Established {
						t.Errorf("%s %q, want %q", access.Protocol, access.Detail, want)
					}
					if !bytes.Equal(access.CardAccess, cfg.MasterFiles[sim.FileCardAccess]) {
						t.Error("EF.CardAccess differs")
					}
					sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
				})
			}
		}
	}
}

func TestBAC(t *testing.T) {
	cfg := newConfig()
	s, _, access := open(t, cfg, byMRZ(), Options{})
	if access.Protocol != gate.CheckBAC || access.CardAccess != nil || !access.Established {
		t.Errorf("%+v", access)
	}
	sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
	sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))

	// EF.CardAccess that offers no PACE at all.
	cfg.MasterFiles[sim.FileCardAccess] = unhex(t, "310F300D060804007F0007020202020101")
	if _, _, access = open(t, cfg, byMRZ(), Options{}); access.Protocol != gate.CheckBAC || access.CardAccess == nil {
		t.Errorf("%+v", access)
	}
}

// TestStrongest: of several ways the strongest that we know, named by its
// number where the chip needs that.
func TestStrongest(t *testing.T) {
	for want, all := range map[string][]sim.PACE{
		"AES-CBC-CMAC-256 brainpoolP512r1": {paceOn(sim.AES128, 13), paceOn(sim.AES256, 17), paceOn(sim.AES256, 13), paceOn(sim.TripleDES, 12)},
		"AES-CBC-CMAC-128 P-256":           {paceOn(sim.TripleDES, 12), paceOn(sim.AES128, 12)},
		"AES-CBC-CMAC-128 P-384":           {paceOn(sim.AES128, 8), paceOn(sim.AES128, 15)},
	} {
		cfg := newConfig(all...)
		s, _, access := open(t, cfg, byCAN(), Options{})
		if access.Detail != "PACE-ECDH-GM-"+want+" CAN" {
			t.Errorf("%q, want %q", access.Detail, want)
		}
		sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	}
}

// try opens a chip that may refuse.
func try(cfg sim.Config, key gate.AccessKey) (*field, gate.Access, error) {
	f := &field{chip: sim.New(cfg)}
	access, err := New(f, Options{}).Open(context.Background(), key)
	return f, access, err
}

func TestPasswordRejected(t *testing.T) {
	pace := newConfig(paceOn(sim.AES128, 13))

	f, access, err := try(pace, gate.AccessKey{CAN: gate.Secret("000000")})
	wantError(t, "wrong CAN", err, gate.ChipPassword, gate.CodePasswordRejected)
	if access.Protocol != gate.CheckPACE || access.Detail == "" || access.CardAccess == nil || access.Established {
		t.Errorf("%+v", access)
	}
	for _, apdu := range f.log {
		if apdu[1] == insGetChallenge || apdu[1] == insExternalAuth {
			t.Error("BAC after a failed PACE")
		}
	}
	_, _, err = try(pace, gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	wantError(t, "wrong MRZ", err, gate.ChipPassword, gate.CodePasswordRejected)
	_, access, err = try(newConfig(), gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	wantError(t, "wrong MRZ with BAC", err, gate.ChipPassword, gate.CodePasswordRejected)
	if access.Protocol != gate.CheckBAC || access.Established {
		t.Errorf("%+v", access)
	}
}

func TestNoWayIn(t *testing.T) {
	f, _, err := try(newConfig(paceOn(sim.AES128, 13)), gate.AccessKey{})
	wantError(t, "no key", err, gate.ChipUnsupported, gate.CodeNoKey)
	if len(f.log) != 0 {
		t.Error("sent something without a key")
	}
	_, _, err = try(newConfig(), byCAN())
	wantError(t, "CAN for BAC", err, gate.ChipUnsupported, gate.CodeNoProtocol)

	noCAN := newConfig(paceOn(sim.AES128, 13))
	noCAN.CAN = ""
	_, _, err = try(noCAN, byCAN())
	wantError(t, "chip without CAN", err, gate.ChipUnsupported, gate.CodeNoProtocol)

	for what, info := range map[string]string{
		"integrated mapping P-224": "3012060A04007F0007020204040202010202010A",
		"curve for DH":             "3012060A04007F0007020204010202010202010D",
		"group for ECDH":           "3012060A04007F00070202040202020102020101",
		"mapping with 3DES":        "3012060A04007F0007020204060102010202010D",
		"unknown curve":            "3012060A04007F00070202040202020102020120",
		"first version":            "3012060A04007F0007020204020202010102010D",
		"curve of the chip's own":  "300F060A04007F00070202040202020102",
		"cipher from another time": "3012060A04007F0007020204020902010202010D",
	} {
		cfg := newConfig()
		cfg.MasterFiles[sim.FileCardAccess] = ber.Make(ber.Set, unhex(t, info))
		_, access, err := try(cfg, byMRZ())
		wantError(t, what, err, gate.ChipUnsupported, gate.CodeNoProtocol)
		if access.CardAccess == nil {
			t.Errorf("%s: EF.CardAccess is not handed on", what)
		}
	}

	other := newConfig(paceOn(sim.AES128, 13))
	other.AID = []byte{0xA0, 0, 0, 0, 4, 0x10, 0x10}
	_, access, err := try(other, byCAN())
	wantError(t, "no application under PACE", err, gate.ChipUnsupported, gate.CodeNoApplication)
	if !access.Established {
		t.Error("PACE itself succeeded")
	}
	other = newConfig()
	other.AID = []byte{0xA0, 0, 0, 0, 4, 0x10, 0x10}
	_, _, err = try(other, byMRZ())
	wantError(t, "no application", err, gate.ChipUnsupported, gate.CodeNoApplication)
}

func TestDowngradeOnSecondTry(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 13))
	f := &field{chip: sim.New(cfg)}
	s := New(f, Options{})
	_, err := s.Open(context.Background(), gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	wantError(t, "wrong MRZ", err, gate.ChipPassword, gate.CodePasswordRejected)
	delete(cfg.MasterFiles, sim.FileCardAccess)
	_, err = s.Open(context.Background(), byMRZ())
	wantError(t, "hidden PACE", err, gate.ChipNonsense, gate.CodeDowngrade)
}
