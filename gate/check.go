package gate

import (
	"fmt"
	"strconv"
)

// Result is the outcome of one check in the terms of BSI TR-03135 part 1
// (section "results of checks"). The zero value is Undetermined, which never
// lets anybody through where a check is mandatory.
type Result uint8

// The five results. Aborted is not a verdict: the document left the field, a
// deadline passed, a device failed or a password was rejected.
const (
	Undetermined Result = iota
	Successful
	Failed
	NotSupported
	Aborted
)

var resultNames = [...]string{"undetermined", "successful", "failed", "not_supported", "aborted"}

// String gives the name used in reports and records.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return "undetermined"
}

// MarshalText writes the result by name.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a result by name; an unknown name is an error.
func (r *Result) UnmarshalText(b []byte) error {
	for i, n := range resultNames {
		if n == string(b) {
			*r = Result(i)
			return nil
		}
	}
	return fmt.Errorf("unknown check result %q", b)
}

// CheckID names one check of the inspection report.
type CheckID string

// The checks, in the order of the report.
const (
	CheckMRZDigits      CheckID = "mrz.check_digits"
	CheckPACE           CheckID = "access.pace"
	CheckBAC            CheckID = "access.bac"
	CheckTerminalAuth   CheckID = "access.terminal_auth"
	CheckAccess         CheckID = "access"
	CheckActiveAuth     CheckID = "chip.active_auth"
	CheckChipAuth       CheckID = "chip.chip_auth"
	CheckPACECAM        CheckID = "chip.pace_cam"
	CheckCardSecurity   CheckID = "chip.card_security"
	CheckChip           CheckID = "chip"
	CheckSODHash        CheckID = "sod.hash"
	CheckSODSignature   CheckID = "sod.signature"
	CheckSOD            CheckID = "sod"
	CheckDSSignature    CheckID = "ds.signature"
	CheckDSValidity     CheckID = "ds.validity"
	CheckDSRevocation   CheckID = "ds.revocation"
	CheckDSTrust        CheckID = "ds.trust"
	CheckDS             CheckID = "ds"
	CheckIntegrityCOM   CheckID = "integrity.com"
	CheckIntegrity      CheckID = "integrity"
	CheckIssuer         CheckID = "issuer"
	CheckExpiry         CheckID = "expiry"
	CheckMRZDG1         CheckID = "mrz.dg1"
	dataGroupCheckStart         = "integrity.dg"
)

// CheckDG names the integrity check of data group n (1 to 16).
func CheckDG(n int) CheckID { return CheckID(dataGroupCheckStart + strconv.Itoa(n)) }

// CheckIDs lists every check in report order.
func CheckIDs() []CheckID {
	ids := []CheckID{
		CheckMRZDigits, CheckPACE, CheckBAC, CheckTerminalAuth, CheckAccess,
		CheckActiveAuth, CheckChipAuth, CheckPACECAM, CheckCardSecurity, CheckChip,
		CheckSODHash, CheckSODSignature, CheckSOD,
		CheckDSSignature, CheckDSValidity, CheckDSRevocation, CheckDSTrust, CheckDS,
		CheckIntegrityCOM,
	}
	for n := 1; n <= 16; n++ {
		ids = append(ids, CheckDG(n))
	}
	return append(ids, CheckIntegrity, CheckIssuer, CheckExpiry, CheckMRZDG1)
}

// Check is one line of the inspection report. Detail never holds personal
// data.
type Check struct {
	ID     CheckID `json:"id"`
	Result Result  `json:"result"`
	Code   Code    `json:"code"`
	Detail string  `json:"detail"`
}

// RollUp joins the results inside one group: any F is F; else any A is A;
// else any U is U; else at least one S is S; else N (TR-03135 part 1).
func RollUp(results ...Result) Result {
	var n [len(resultNames)]int
	for _, r := range results {
		if int(r) >= len(n) {
			r = Undetermined
		}
		n[r]++
	}
	for _, r := range [...]Result{Failed, Aborted, Undetermined, Successful} {
		if n[r] > 0 {
			return r
		}
	}
	return NotSupported
}
