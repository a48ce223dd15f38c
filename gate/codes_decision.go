package gate

// Codes of the decision, the lane and its devices (6000..6999).
const (
	CodeDocumentFailed       Code = 6001
	CodeDocumentUndetermined Code = 6002
	CodeDocumentAborted      Code = 6003
	CodeAbortedTwice         Code = 6004
	CodeListRefused          Code = 6010
	CodeFaceNotDeclared      Code = 6020
	CodeFaceNotAvailable     Code = 6021
	CodePolicyUnset          Code = 6022
	CodeNoScan               Code = 6030
	CodeNoCard               Code = 6031
	CodeScanUnreadable       Code = 6032
	CodeHelpAsked            Code = 6033
	CodeReaderOutOfOrder     Code = 6040
	CodeStoreFailed          Code = 6041
	CodeBarrierFailed        Code = 6042
	CodeAdmitTooOld          Code = 6043
	CodeGateClosed           Code = 6046
)

var decisionCodes = []CodeInfo{
	{CodeDocumentFailed, "document_failed", "the document failed a check", "see the failing check"},
	{CodeDocumentUndetermined, "document_undetermined", "the document could not be proven", "inspect by hand"},
	{CodeDocumentAborted, "document_aborted", "reading the document was interrupted", "let the traveller try again"},
	{CodeAbortedTwice, "aborted_twice", "reading was interrupted twice in a row", "help the traveller, inspect by hand"},
	{CodeListRefused, "list_refused", "the allowlist does not let this traveller through", "see the list answer"},
	{CodeFaceNotDeclared, "face_not_declared", "no face was compared and the policy does not say in words that it is off", "set policy.face in the configuration"},
	{CodeFaceNotAvailable, "face_not_available", "the policy wants a face comparison and none is available", "inspect by hand"},
	{CodePolicyUnset, "policy_unset", "no policy is in force", "complete the configuration"},
	{CodeNoScan, "no_scan", "a card was presented and nothing was scanned in time", "help the traveller with the scanner"},
	{CodeNoCard, "no_card", "a document was scanned and no card was presented in time", "help the traveller with the reader"},
	{CodeScanUnreadable, "scan_unreadable", "the scan could not be understood", "scan again"},
	{CodeHelpAsked, "help_asked", "the traveller asked for help", "go to the gate"},
	{CodeReaderOutOfOrder, "reader_out_of_order", "the card reader is out of order", "replug or replace the reader"},
	{CodeStoreFailed, "store_failed", "the result could not be stored, so nobody is admitted", "free disk space, check the state folder"},
	{CodeBarrierFailed, "barrier_failed", "the gate's output failed", "check the relay's cable"},
	{CodeAdmitTooOld, "admit_too_old", "the admission was older than five seconds and was not carried out", "let the traveller try again"},
	{CodeGateClosed, "gate_closed", "the gate is outside of its opening hours, or the time by which they are judged is not trusted", "look at hours in the configuration, and at the clock"},
}
