package gate

// Codes of the face comparison (3000..3999).
const (
	CodeFaceDeclined     Code = 3001
	CodeFaceNoAnswer     Code = 3002
	CodeFaceUnderAge     Code = 3003
	CodeFaceNotStrict    Code = 3004
	CodeFaceMismatch     Code = 3010
	CodeFaceNobody       Code = 3011
	CodeFaceSeveral      Code = 3012
	CodeFaceQuality      Code = 3013
	CodeFacePortrait     Code = 3014
	CodeFaceDeadline     Code = 3015
	CodeFaceAttack       Code = 3016
	CodeFaceUncalibrated Code = 3020
	CodeFaceModel        Code = 3021
	CodeFaceWorker       Code = 3022
	CodeFaceCamera       Code = 3023
	CodeFaceAgeUnknown   Code = 3024
)

var faceCodes = []CodeInfo{
	{CodeFaceDeclined, "face_declined", "the traveller chose to see a person", "check the person by eye"},
	{CodeFaceNoAnswer, "face_no_answer", "the traveller did not agree to the camera in time", "help the traveller, check by eye"},
	{CodeFaceUnderAge, "face_under_age", "the traveller is too young for the camera", "check the person by eye"},
	{CodeFaceNotStrict, "face_not_strict", "the face matches, but not at the stricter threshold that a document without chip proof needs", "compare by eye, inspect the document by hand"},
	{CodeFaceMismatch, "face_mismatch", "the live face is not the face on the chip", "compare by eye; the document may be borrowed"},
	{CodeFaceNobody, "face_nobody", "no face was seen", "help the traveller"},
	{CodeFaceSeveral, "face_several", "more than one face was seen", "ask for one person at a time"},
	{CodeFaceQuality, "face_quality", "no picture was good enough", "look at light and camera, check by eye"},
	{CodeFacePortrait, "face_portrait", "the chip's portrait could not be used", "check the person by eye"},
	{CodeFaceDeadline, "face_deadline", "the comparison did not finish in time", "check the person by eye"},
	{CodeFaceAttack, "face_attack", "no sign of a living face: the challenge was not answered, or the picture looks like one of a picture", "check the person by eye"},
	{CodeFaceUncalibrated, "face_uncalibrated", "the model pack has no calibration record in force: its score admits nobody", "install a signed calibration record"},
	{CodeFaceModel, "face_model", "the model pack is damaged or incomplete", "import the pack again"},
	{CodeFaceWorker, "face_worker", "the comparison failed inside its worker", "see the journal; it restarts by itself"},
	{CodeFaceCamera, "face_camera", "the camera failed", "check the camera's cable"},
	{CodeFaceAgeUnknown, "face_age_unknown", "the traveller's age is not known", "check the person by eye"},
}
