package doc

import (
	"crypto"
	"time"

	"gateagent/sim/chip"
)

// Alteration is a set of things that are wrong with a document.
type Alteration uint32

// Alterations, to be joined by |.
const (
	// AlterDG1 and AlterDG2 change the file after it was signed.
	AlterDG1 Alteration = 1 << iota
	AlterDG2
	// BreakSignature turns one bit of the security object's signature.
	BreakSignature
	// ForgeSigner has everything signed by a document signer that names the
	// real CSCA and that the CSCA never signed.
	ForgeSigner
	// UnknownIssuer has it signed under a CSCA of the same country that no
	// trust folder holds.
	UnknownIssuer
	// Clone copies all files and has other private keys than they state.
	Clone
	// CloneMute copies all files, has no keys and refuses the proofs.
	CloneMute
	// HidePACE strips PACE from EF.CardAccess and offers BAC instead.
	HidePACE
	// WithholdDG14 and WithholdDG15 deny having a file that was signed.
	WithholdDG14
	WithholdDG15
	// RevokedSigner uses a signer that the CRL of the trust folder lists.
	RevokedSigner
	// ExpiredSigner uses a signer whose certificate ended in June 2024.
	ExpiredSigner
	// ForeignSigner has everything signed by the signer of another country.
	ForeignSigner
	// AlterDG14 and AlterDG15 write the forger's own keys into the file and
	// put them on the chip.
	AlterDG14
	AlterDG15
	// AlterCardSecurity does the same to EF.CardSecurity, whose signature
	// stays.
	AlterCardSecurity
	// ForeignCardSecurity has EF.CardSecurity signed by another country.
	ForeignCardSecurity
	// WithholdCardSecurity denies having EF.CardSecurity.
	WithholdCardSecurity
	// HideStronger leaves only the last PACE in EF.CardAccess and on the
	// chip.
	HideStronger
	// NoMappingProof ends the chip authentication mapping without its proof.
	NoMappingProof
)

// PACE names one PACE protocol. Its zero mapping is the generic one.
type PACE struct {
	Cipher  chip.Cipher
	Curve   string // empty: DH
	Group   int    // number of the DH group (0 to 2) where Curve is empty
	Mapping chip.Mapping
}

// ChipAuth names one key for chip authentication.
type ChipAuth struct {
	Cipher     chip.Cipher
	Curve      string // empty: DH
	Group      int    // number of the DH group where Curve is empty
	KeyID      int    // 0: none
	Parameters Parameters
	NoInfo     bool // DG14 holds only the key, as on early passports (3DES is meant)
	KAT        bool // the chip knows MSE:Set KAT only (3DES is meant)
}

// Codec is how a drawn portrait is compressed.
type Codec uint8

// Codecs.
const (
	JPEG    Codec = iota
	JP2           // JPEG 2000 in its file format
	BareJP2       // JPEG 2000 codestream alone
)

// Profile is everything about a document besides its holder. The world's
// constructors fill it; options change it before the document is made.
type Profile struct {
	Format, Type, State string // "TD1", "ID", "VNM"
	Number, Optional    string // as printed in the MRZ, without filler and check digits
	CitizenNumber       string // Vietnam's twelve digits; empty elsewhere
	OldNumber, Address  string // of the Vietnamese QR code
	CAN                 string
	Issued, Expires     time.Time
	Unlimited           bool // a Vietnamese card without expiry: 991231

	Groups []int // data groups beside DG14 and DG15, which follow from the protocols
	Denied []int // data groups that answer 6982 even after access
	Hidden []int // data groups served but not listed by the security object
	Image  Image // the portrait; its zero value draws one
	// PortraitBytes is the size of the drawn portrait.
	PortraitBytes int
	Codec         Codec // of the drawn portrait
	FullDetails   bool  // DG11 and DG12 hold everything that they can

	SOD SecurityObject
	// CardSecurity says how EF.CardSecurity is signed (its group hash does
	// not matter).
	CardSecurity SecurityObject
	PACE         []PACE
	BAC          bool
	ChipAuth     []ChipAuth
	ActiveAuth   Algorithm // zero: none
	ActiveForm   chip.ActiveForm
	// NoActiveInfo leaves the hash of ECDSA active authentication unsaid.
	NoActiveInfo bool
	TerminalV1   bool // terminal authentication version 1 is announced
	NoATRInfo    bool
	Quirks       chip.Quirks
	Alter        Alteration
}

// citizen derives the fields of the MRZ from the twelve digits: the number
// field holds the last nine, the optional data all twelve with a check digit
// in the last place.
func (f *Profile) citizen(number string) {
	f.CitizenNumber = number
	if len(number) != 12 {
		return
	}
	f.Number = number[3:]
	f.Optional = number + "<<" + checkDigit(number)
	f.CAN = number[6:]
}

func (f *Profile) fullNumber() string {
	if f.CitizenNumber != "" {
		return f.CitizenNumber
	}
	return f.Number
}

// issueDay is the day on which simulated documents are issued.
func issueDay() time.Time { return time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC) }

// vietnamExpiry: the card runs to the birthday on which its holder becomes
// 25, 40 or 60, and without end after that (Law on Citizen Identification
// 59/2014/QH13 article 21). The first such birthday at least ten years away
// is taken, so that a simulated card does not expire unasked.
func vietnamExpiry(birth, issued time.Time) (time.Time, bool) {
	for _, age := range []int{25, 40, 60} {
		if t := birth.AddDate(age, 0, 0); t.After(issued.AddDate(10, 0, 0)) {
			return t, false
		}
	}
	return time.Time{}, true
}

func citizenCard() Profile {
	return Profile{
		Format: "TD1", Type: "ID", State: "VNM",
		Address: "12 Đường Mẫu, Phường Thử, Hà Nội",
		Issued:  issueDay(),
		Groups:  []int{1, 2, 3, 13},
		Denied:  []int{3}, PortraitBytes: defaultPortrait,
		PACE:       []PACE{{Cipher: chip.AES128, Curve: "brainpoolP256r1"}},
		ChipAuth:   []ChipAuth{{Cipher: chip.AES128, Curve: "brainpoolP256r1"}},
		ActiveAuth: Algorithm{RSA: 1024, Hash: crypto.SHA256},
		TerminalV1: true,
		Quirks:     chip.Quirks{NoSelectMF: true, MaxRead: maxRead},
	}
}

const (
	defaultPortrait = 15000
	maxRead         = 4096 // what EF.ATR/INFO of simulated documents promises
)

func passport(state string) Profile {
	return Profile{
		Format: "TD3", Type: "P", State: state,
		Issued: issueDay(), Expires: issueDay().AddDate(10, 0, 0),
		Groups: []int{1, 2, 11, 12}, PortraitBytes: defaultPortrait,
		PACE: []PACE{{Cipher: chip.AES128, Curve: "brainpoolP256r1"}}, BAC: true,
		ChipAuth: []ChipAuth{{Cipher: chip.AES128, Curve: "brainpoolP256r1"}},
		Quirks:   chip.Quirks{MaxRead: maxRead},
	}
}
