package main

import (
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// Protocols whose commands are long, or that few chips have, over the real
// card reader daemon: groups modulo a prime of 2048 bits do not fit into short
// commands, and with the chip authentication mapping EF.CardSecurity is read.
func TestReadAccess(t *testing.T) {
	for want, opts := range map[string][]doc.Option{
		"PACE-DH-GM-AES-CBC-CMAC-256 MODP-2048-256 MRZ": {
			doc.PACEOffers(doc.PACE{Cipher: chip.AES256, Group: 2}), doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.TripleDES, Group: 1, KAT: true})},
		"PACE-ECDH-IM-AES-CBC-CMAC-256 P-521 MRZ": {
			doc.PACEOffers(doc.PACE{Cipher: chip.AES256, Curve: "P-521", Mapping: chip.IntegratedMapping}), doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES256, Group: 2})},
		"PACE-ECDH-CAM-AES-CBC-CMAC-192 brainpoolP384r1 MRZ": {
			doc.PACEOffers(doc.PACE{Cipher: chip.AES192, Curve: "brainpoolP384r1"}, doc.PACE{Cipher: chip.AES192, Curve: "brainpoolP384r1", Mapping: chip.ChipAuthMapping}),
			doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES192, Curve: "brainpoolP384r1"})},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			d := must[*doc.Document](t)(world().Passport(world().Foreigner(2), opts...))
			reader, _, _ := insert(t, d.ChipConfig())
			rep := program(t, d.MRZ(), "read", "--json", "--reader", reader, "--mrz", "-", "--trust", trustFolder(t), "--at", day.Format(time.RFC3339)).report(t)
			if rep.Overall != gate.Successful {
				t.Errorf("overall %s: %+v", rep.Overall, rep.Checks)
			}
			for _, c := range rep.Checks {
				if c.ID == gate.CheckPACE && c.Detail != want {
					t.Errorf("%q", c.Detail)
				}
			}
		})
	}
}
