package gate

// Codes of access to the chip and of the chip protocol (1000..1299).
const (
	CodeChipGone          Code = 1001
	CodeDeadline          Code = 1002
	CodeReaderFault       Code = 1003
	CodeNotReached        Code = 1004
	CodeNoApplication     Code = 1010
	CodeNoProtocol        Code = 1011
	CodeNoKey             Code = 1012
	CodeDowngrade         Code = 1013
	CodePasswordRejected  Code = 1101
	CodeWrongToken        Code = 1102
	CodeChipNonsense      Code = 1103
	CodeChipStatus        Code = 1104
	CodeSecureMessaging   Code = 1105
	CodeTooLarge          Code = 1106
	CodeFileMissing       Code = 1107
	CodeFileDenied        Code = 1108
	CodeNotReadByPolicy   Code = 1109
	CodeNotListed         Code = 1110
	CodeProofWithheld     Code = 1201
	CodeProofWrong        Code = 1202
	CodeProofUnproven     Code = 1203
	CodeProofNotNeeded    Code = 1204
	CodeProofNotOffered   Code = 1205
	CodeProofAlgorithm    Code = 1206
	CodeProofKeyRevoked   Code = 1207
	CodeTerminalAuthNoKey Code = 1210
)

var accessCodes = []CodeInfo{
	{CodeChipGone, "chip_gone", "the document left the field before reading was done", "ask the traveller to leave the document on the reader"},
	{CodeDeadline, "deadline", "the chip or a device did not finish in time", "try again; if it recurs, look at the reader"},
	{CodeReaderFault, "reader_fault", "the card reader failed", "check the reader's cable and `systemctl status pcscd`"},
	{CodeNotReached, "not_reached", "the step was not reached", "see the failing check before it"},
	{CodeNoApplication, "no_application", "the card carries no travel document application", "ask for the right document"},
	{CodeNoProtocol, "no_protocol", "the chip offers no access protocol that we can use with the key at hand", "scan the machine readable zone instead of the code, or see staff"},
	{CodeNoKey, "no_key", "no access key is known for this document", "scan the document first"},
	{CodeDowngrade, "downgrade", "the signed files promise PACE, the chip hides it", "treat the document as manipulated"},
	{CodePasswordRejected, "password_rejected", "the chip rejected the access key", "scan again: scan and card may belong to different documents"},
	{CodeWrongToken, "wrong_token", "the chip's authentication token is wrong", "treat the document as manipulated"},
	{CodeChipNonsense, "chip_nonsense", "the chip answered with malformed data", "treat the document as manipulated"},
	{CodeChipStatus, "chip_status", "the chip answered with an unexpected status word", "try once more, then inspect by hand"},
	{CodeSecureMessaging, "secure_messaging", "secure messaging broke: wrong or missing MAC", "treat the document as manipulated"},
	{CodeTooLarge, "too_large", "a file declares more bytes than it may have", "treat the document as manipulated"},
	{CodeFileMissing, "file_missing", "the chip does not have the file", ""},
	{CodeFileDenied, "file_denied", "the chip denies access to the file", ""},
	{CodeNotReadByPolicy, "not_read_by_policy", "the file was not read because the policy does not need it", ""},
	{CodeNotListed, "not_listed", "the security object does not list the data group", ""},
	{CodeProofWithheld, "proof_withheld", "the chip refuses a proof that its signed files promise", "treat the chip as cloned"},
	{CodeProofWrong, "proof_wrong", "the chip's proof is wrong", "treat the chip as cloned"},
	{CodeProofUnproven, "proof_unproven", "the chip proved a key that itself is not proven", "inspect by hand"},
	{CodeProofNotNeeded, "proof_not_needed", "another proof of the chip already succeeded", ""},
	{CodeProofNotOffered, "proof_not_offered", "the document offers no such proof", ""},
	{CodeProofAlgorithm, "proof_algorithm", "the proof uses an algorithm that we do not support", "inspect by hand"},
	{CodeProofKeyRevoked, "proof_key_revoked", "a defect list says that others know the chip keys of these documents", "inspect by hand; the chip proves nothing"},
	{CodeTerminalAuthNoKey, "terminal_auth_no_key", "the document wants terminal authentication and no terminal certificate is configured", ""},
}
