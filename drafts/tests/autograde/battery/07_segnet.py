"""Answers to lesson 07 as students would write them, none of them a misconception: right_... ones must pass."""


from autograde.graders.candidates import alternative, wrong


@alternative("EncoderStage")
def right_EncoderStage(x):
    raise NotImplementedError("TODO(EncoderStage): right answers; then eight wrong ones with their causes")


@wrong("EncoderStage", "EncoderStage_misunderstood")
def EncoderStage_and_negated(x):
    return -x


@alternative("DecoderStage")
def right_DecoderStage(x):
    raise NotImplementedError("TODO(DecoderStage): right answers; then eight wrong ones with their causes")


@wrong("DecoderStage", "DecoderStage_misunderstood")
def DecoderStage_and_negated(x):
    return -x


@alternative("SegNet")
def right_SegNet(x):
    raise NotImplementedError("TODO(SegNet): right answers; then eight wrong ones with their causes")


@wrong("SegNet", "SegNet_misunderstood")
def SegNet_and_negated(x):
    return -x


@alternative("handover_bytes")
def right_handover_bytes(x):
    raise NotImplementedError("TODO(handover_bytes): right answers; then eight wrong ones with their causes")


@wrong("handover_bytes", "handover_bytes_misunderstood")
def handover_bytes_and_negated(x):
    return -x


@alternative("boundary_f_score")
def right_boundary_f_score(x):
    raise NotImplementedError("TODO(boundary_f_score): right answers; then eight wrong ones with their causes")


@wrong("boundary_f_score", "boundary_f_score_misunderstood")
def boundary_f_score_and_negated(x):
    return -x
