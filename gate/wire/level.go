package wire

import (
	"fmt"
	"slices"
)

// Levels of records (after the logging levels of BSI TR-03135): how much of a
// transaction is written down.
const (
	LevelFull     = "full"     // everything that a record can hold
	LevelStandard = "standard" // checks only where the inspection failed or stayed undetermined, and those alone that did
	LevelBasic    = "basic"    // as standard, without document reference, issuer, type, times and the face step
)

// CheckLevel refuses a word that is no level.
func CheckLevel(level string) error {
	if !slices.Contains([]string{LevelFull, LevelStandard, LevelBasic}, level) {
		return fmt.Errorf("%q is none of %q, %q, %q", level, LevelFull, LevelStandard, LevelBasic)
	}
	return nil
}

// AtLevel gives the record with what its level leaves of it. An unknown level
// leaves as much as LevelBasic.
func (r Record) AtLevel(level string) Record {
	if r.Decision == nil || level == LevelFull {
		return r
	}
	d := *r.Decision
	d.Checks = nil
	for _, c := range r.Decision.Checks {
		if c.Result == resultFailed || c.Result == resultUndetermined {
			d.Checks = append(d.Checks, c)
		}
	}
	if level != LevelStandard {
		d.DocRef, d.Issuer, d.DocType, d.PhaseMS = "", "", "", nil
		if !d.CloneUnproven { // such an admission is justified by it
			d.FaceCheck = nil
		}
	}
	r.Decision = &d
	return r
}

// Results of a check of which a record keeps details (BSI TR-03135).
const (
	resultFailed       = "failed"
	resultUndetermined = "undetermined"
)
