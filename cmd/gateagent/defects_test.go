package main

import (
	"os"
	"path/filepath"
	"testing"

	"gateagent/sim/doc"
)

// defectList puts a defect list of the state itself into the trust folder. It
// names the state's document signer.
func defectList(state string, known doc.KnownDefect) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		s := must[*doc.State](t)(world().State(state))
		by := must[*doc.Signer](t)(s.Authority.NewListSigner("Defect list signer", doc.DefectListUsage))
		list := must[[]byte](t)(s.Authority.DefectList(by, 2, doc.SecurityObject{}, doc.Defect{Signer: s.Signer, Known: []doc.KnownDefect{known}}))
		if err := os.WriteFile(filepath.Join(dir, "state.dl"), list, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
