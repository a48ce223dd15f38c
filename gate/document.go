package gate

import "time"

// TrustedTime is the time by which documents and lists are judged.
type TrustedTime struct {
	Now     time.Time
	Trusted bool           // false: validity can only be undetermined
	Zone    *time.Location // the kiosk's zone, for whole days; nil means UTC
	Source  string         // where it comes from, as in records; empty where nobody says
}

// ClockStatus is where the time comes from, for staff and central.
type ClockStatus struct {
	Source  string    `json:"source"` // kernel, held, central, assumed, none
	Trusted bool      `json:"trusted"`
	Since   time.Time `json:"since,omitzero"` // when the source last spoke; zero when it speaks now
	Until   time.Time `json:"until,omitzero"` // when holdover ends; zero where nothing ends
}

// Judge opens a case on one document. match/document implements it.
type Judge interface {
	NewCase(at TrustedTime) Case
}

// Case judges one document, file by file, in the order in which they are
// read. SecurityObject must come first: before it nothing is proven. Nothing
// in a Case talks to a chip.
type Case interface {
	// SecurityObject judges EF.SOD: the checks sod.hash, sod.signature, sod,
	// ds.signature, ds.validity, ds.revocation, ds.trust, ds, in that order.
	SecurityObject(raw []byte) []Check
	// Foresee names the data groups that EF.SOD lists, before anything of it
	// is judged and without keeping anything: what may be fetched meanwhile.
	// Nil for a malformed one.
	Foresee(raw []byte) []int
	// Lists says whether the security object lists data group n.
	Lists(n int) bool
	// DataGroup judges the raw bytes of data group n: integrity.dgN.
	DataGroup(n int, raw []byte) Check
	// COM judges EF.COM against the security object: integrity.com.
	COM(raw []byte) Check
	// CardSecurity judges EF.CardSecurity: chip.card_security, by the rules
	// of the security object's signature and signer, under the same country.
	// infos holds the SecurityInfos it proves, nil unless the check is S.
	CardSecurity(raw []byte) (checks []Check, infos []byte)
	// PromisesPACE says whether the proven DG14, or the proven
	// EF.CardSecurity, states a PACE that the given EF.CardAccess (nil when
	// absent) lacks: a downgrade.
	PromisesPACE(cardAccess []byte) bool
	// WantsTerminalAuth says whether the given EF.CardAccess or the proven
	// DG14 announces terminal authentication.
	WantsTerminalAuth(cardAccess []byte) bool
	// OffersChipAuth and OffersActiveAuth say what the proven DG14 and DG15
	// promise.
	OffersChipAuth() bool
	OffersActiveAuth() bool
	// ActiveAuth judges the chip's answer to the challenge with the proven
	// DG15 (and DG14 for the hash of ECDSA): chip.active_auth.
	ActiveAuth(challenge, response []byte) Check
	// ChipProof gives what becomes of a proof of the chip by what is known of
	// the issuer's documents: a defect list may call the keys compromised.
	ChipProof(proof Check) Check
	// Person judges what the proven DG1 says: issuer, expiry and mrz.dg1
	// against what was scanned (the zero Scan when nothing was).
	Person(scan Scan) []Check
	// Document gives the fields of a proven DG1; false until there is one.
	Document() (Document, bool)
	// Portrait describes the picture in a proven DG2; false until then.
	Portrait() (Portrait, bool)
	// Wipe overwrites every file and field that the case holds.
	Wipe()
}

// Document holds the fields of a proven DG1 (and of DG13 on a full read). It
// lives for one transaction and is never stored.
type Document struct {
	Type, Issuer, Number, Optional, Name string // MRZ fields without trailing filler; Name "SURNAME<<GIVEN NAMES" with fillers as spaces
	Birth, Expiry                        string // as exact as stated: 1999-08-17, 1999-08, 1999; expiry "unlimited" where it is
	Sex, Nationality                     string
	// MatchNumber is the complete number for the allowlist: for VNM IDs the
	// twelve digits of the optional data, once their check digit and last
	// nine digits agree with the number field; else the document number.
	// Empty when no complete number can be formed.
	MatchNumber string
	// Signature is the SHA-256 of the security object's proven signature, by
	// which a list may know the document; zero unless sod is S.
	Signature [32]byte
	BirthDate time.Time // the earliest date the birth field allows; zero when unknown
	National  *National
}

// National holds what is parsed of Vietnam's DG13; empty fields were absent.
type National struct {
	ID          string `json:"id,omitempty"`
	Name        string `json:"name,omitempty"`
	Birth       string `json:"birth,omitempty"`
	Sex         string `json:"sex,omitempty"`
	Nationality string `json:"nationality,omitempty"`
	Issue       string `json:"issue,omitempty"`
	Expiry      string `json:"expiry,omitempty"`
	OldID       string `json:"old_id,omitempty"`
}

// Portrait describes the picture in DG2; the bytes never leave the case
// except to a face matcher.
type Portrait struct {
	Format        string // "jpeg", "jp2"
	Bytes         int    // of the image alone
	Width, Height int
	Image         Secret
}
