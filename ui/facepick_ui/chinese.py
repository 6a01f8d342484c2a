"""Chinese words for what the core describes in English: settings, their choices, engines."""

from __future__ import annotations

__all__ = ["CHOICES", "ENGINES", "ERRORS", "EXIT_CODES", "HELPS", "NAMES", "SETTINGS", "UNITS"]

SETTINGS: dict[str, tuple[str, str]] = {
    # Hide.
    "Shape": (
        "形状",
        "遮挡范围：包住头部正面的椭圆、包括耳朵和头发的整个头部、人脸矩形，或人脸轮廓"
        "（找不到轮廓时用椭圆）。",
    ),
    "Margin": ("边距", "遮挡范围向人脸四周多出的部分，占人脸大小的比例。"),
    "Soft edge": ("柔和边缘", "遮挡范围外柔和边缘的宽度，占人脸宽度的比例。"),
    "Blocks": ("马赛克格数", "人脸宽度上的格数，越少遮得越彻底。"),
    "Strength": ("强度", "模糊程度：0 在人脸上保留 6 个采样点，1 保留 2.5 个。"),
    "Colour": ("颜色", "盖住人脸的颜色。"),
    "Picture": ("图片", "盖在人脸上的 PNG、JPEG 或 WebP 图片，会随人脸转动和缩放。"),
    "Picture size": ("图片大小", "图片的大小，1 表示与遮挡范围一样大。"),
    "Under the picture": ("图片下方", "图片透明处用什么遮住人脸。"),
    # Lip sync.
    "When silent": ("静音时", "新语音静音时：原声在说话但结果中已听不到处闭上嘴，或保留原画面。"),
    "Language of the text": (
        "文本的语言",
        "随语音给出的文字的语言，按 espeak-ng 的名称：en-us、de、fr、zh。auto 按文字判断："
        "拉丁字母视为英语。没有文字时不起作用。",
    ),
    "Mouth offset": ("口型偏移", "使口型比语音晚（正）或早（负）。"),
    "Largest turn of the head": ("最大转头角度", "转头超过该角度的画面保持原样。"),
    "Smallest face": ("最小人脸", "比这更小的人脸不处理。"),
    "Face restoration model": ("人脸修复模型", "为重新生成的嘴部恢复细节；较慢，但只处理此人。"),
    "Code Former fidelity": ("CodeFormer 保真度", "1 贴近网络的结果，0 让 CodeFormer 自由发挥。"),
    "When the speech is silent": (
        "语音静音时",
        "闭嘴：原声在说话但结果中已听不到时合上嘴；保留：画面保持原样。",
    ),
    "Lip weight": ("口型权重", "嘴唇跟随声音的程度，即网络自身的权重。"),
    "Only mouth": ("仅嘴部", "只改变嘴唇及其周围，不动下巴和脸颊。"),
    "Mouth mask dilate": (
        "嘴部遮罩扩张",
        "改变范围超出嘴唇多少，以高 256 像素的人脸计，随人脸缩放。",
    ),
    "Face mask erode": (
        "人脸遮罩收缩",
        "改变范围距下颌线多远，以高 256 像素的人脸计，随人脸缩放。",
    ),
    "Mask blur": (
        "遮罩模糊",
        "柔和边缘的宽度，最好不超过嘴部遮罩扩张的两倍，以高 256 像素的人脸计。",
    ),
    "Pad top": ("上边距", "给网络在人脸上方多留的空间，以高 256 像素的人脸计。"),
    "Pad bottom": ("下边距", "给网络在下巴下方多留的空间，以高 256 像素的人脸计。"),
    "Pad left": ("左边距", "给网络在人脸左侧多留的空间，以高 256 像素的人脸计。"),
    "Pad right": ("右边距", "给网络在人脸右侧多留的空间，以高 256 像素的人脸计。"),
    "No smooth": ("不平滑", "按当前帧的网格裁剪人脸，而不用时间上平滑过的框。"),
    "Match colour": ("匹配颜色", "使新嘴部的光线与周围皮肤一致。"),
    "Keep grain": ("保留颗粒", "使新嘴部的颗粒感与原来的嘴部一致。"),
    "Checkpoint file": ("模型文件", "Wav2Lip 模型文件；留空则使用模型文件夹中的文件。"),
    "Active debug": ("调试", "在任务文件夹中每秒保存一帧各步骤的对照图。"),
    "Things in front of the face": (
        "脸前的物体",
        "保留脸前的手、杯子和话筒：built-in 从视频中学习此人的脸；xseg 是你提供的网络；"
        "自动优先用 xseg，否则用 built-in；关闭则会覆盖它们。",
    ),
    # Face swap.
    "In doubt": ("无法确定时", "换不好的画面怎么办：保留原脸，或遮挡（用于不能被认出的人）。"),
    "Largest turn": ("最大转头角度", "转头超过该角度的人脸不替换。"),
    "Least confidence": ("最低把握", "不够确定是所选人物的人脸不替换。"),
    "Mask margin": ("遮罩边距", "新面孔超出脸部轮廓的部分，占人脸大小的比例。"),
    "Forehead": ("额头", "新面孔向头发方向延伸多少，占人脸大小的比例。"),
    "Grain": ("颗粒", "新面孔噪点较少时，补上多少画面噪点。"),
    "Colour match": (
        "颜色匹配",
        "光照：按原脸重新打光；lab：匹配颜色的均值与方差；关闭：保留照片的颜色。",
    ),
    "Keep teeth": ("保留牙齿", "口腔内部保持原画面；闭嘴的照片没有牙齿。"),
    "Keep eyes": ("保留眼睛", "眼睛保持原画面。"),
    "Face restoration": ("人脸修复", "改善新面孔的细节；除锐化外都需要模型文件。"),
    "CodeFormer fidelity": ("CodeFormer 保真度", "1 贴近换好的脸，0 信任修复模型。"),
    "Pixel boost": ("像素提升", "新面孔的分辨率；每翻一倍耗时约为四倍。"),
    # Scan.
    "Accuracy": ("精度", "查找的细致程度；“彻底”能找到更小、更短暂的人脸，耗时约为“均衡”的三倍。"),
    "Strictness": ("严格度", "越高越容易把相像的人分开，越低越容易把外貌变化大的同一人合并。"),
    "List unsure faces": ("列出不确定的人脸", "同时列出太小、太模糊或太短暂而无法辨认的人脸。"),
    # Result.
    "Encoder": ("编码器", "x264 到处都能播放；hardware 使用本机第一个硬件编码器。"),
    "Quality (CRF)": ("质量（CRF）", "越低越好、文件越大：18 视觉无损，23 为网络常用。"),
    "Preset": ("预设", "越慢，同样质量的文件越小。"),
    "Original sound": (
        "原声",
        "替换：有新语音处关闭（音乐也关闭），其余保持原样；压低：该处降低 14 dB；保留：同时听到；"
        "静音：全程关闭。",
    ),
    "Finished soundtrack": (
        "成品混音",
        "完成的混音，原样成为结果的声音。口型跟随它；有台词时跟随台词。",
    ),
    "Music and effects": ("配乐与音效", "配乐与音效轨：全程代替原声，新语音叠加其上。"),
    "Separate": ("分离", "人声：用你提供的分离工具从原声中得到配乐与音效。"),
    "When the speech is longer": (
        "语音更长时",
        "截断：语音随视频结束；循环、往返、定格：延长视频；静音：保持视频时长，语音不足处静音；"
        "画面放慢：均匀放慢（或加快）画面，与语音同时结束。",
    ),
    "Audio codec": (
        "音频编码",
        "新声音的编码，保留的音轨直接复制。自动：声音来自无损格式且容器为 MKV、MOV 时用 FLAC、PCM "
        "保持无损，否则用 AAC，WebM 用 Opus；aac、flac、pcm：按所选。",
    ),
    "Write provenance": ("写入来源标记", "在元数据中注明经过编辑，并在旁边写入报告。"),
    "Review page": ("检查页", "结果旁的一页说明：对谁做了什么、效果如何、哪些时刻需要检查。"),
    "Visible AI label": ("可见的 AI 标识", "前两秒在角落显示中文或英文标识。"),
    "Sign with C2PA": ("C2PA 签名", "已设置证书（facepick sign）时为结果签名；关闭则不签名。"),
    "AIGC label": ("AIGC 标识", "GB 45438-2025 字段：1 属于，2 可能，3 疑似人工智能生成合成。"),
    "AIGC producer": ("AIGC 生成方", "ContentProducer：生成方的名称或编码；留空则为 facepick。"),
    "AIGC producer's number": (
        "AIGC 生成编号",
        "ProduceID：生成方的编号；留空则用方案哈希。",
    ),
    "AIGC producer's reserved code": (
        "AIGC 生成方预留字段",
        "ReservedCode1：生成方自用信息。",
    ),
    "AIGC propagator": ("AIGC 传播方", "ContentPropagator：传播服务提供者的名称或编码。"),
    "AIGC propagator's number": ("AIGC 传播编号", "PropagateID：传播服务提供者给视频的编号。"),
    "AIGC propagator's reserved code": (
        "AIGC 传播方预留字段",
        "ReservedCode2：传播方自用信息。",
    ),
}
"""English label -> Chinese label and help."""

HELPS: dict[str, str] = {
    "How far the mouth moves: 1 as the person does in the clip, less mumbles, more is "
    "exaggerated.": "嘴部动作幅度：1 与片中此人一致，更小像含糊说话，更大则夸张。",
    "Faces lower than this share of the picture's shorter side are left out.": (
        "高度低于画面短边该比例的人脸不计入。"
    ),
}
"""English help -> Chinese help, where two settings have the same label."""

CHOICES: dict[str, str] = {
    "1": "1 属于",
    "2": "2 可能",
    "3": "3 疑似",
    "ellipse": "椭圆",
    "head": "整个头部",
    "rectangle": "矩形",
    "outline": "轮廓",
    "pixelate": "马赛克",
    "color": "颜色",
    "nothing": "无",
    "none": "无",
    "sharpen": "锐化",
    "off": "关闭",
    "close": "闭嘴",
    "keep": "保留",
    "hide": "遮挡",
    "light": "光照",
    "duck": "压低",
    "replace": "替换",
    "cut": "截断",
    "loop": "循环",
    "bounce": "往返",
    "freeze": "定格",
    "silence": "静音",
    "mute": "全程静音",
    "remap": "画面放慢",
    "voices": "人声",
    "auto": "自动",
    "balanced": "均衡",
    "thorough": "彻底",
    "fast": "快速",
    "hardware": "硬件",
    "en": "英文",
    "zh": "中文",
}

UNITS: dict[str, str] = {"degrees": "度", "ms": "毫秒", "px": "像素", "%": "%"}
"""Unit of a setting -> how it is written."""

NAMES = frozenset(
    {
        "built-in",
        "xseg",
        "128",
        "256",
        "512",
        "1024",
        "GFPGAN",
        "CodeFormer",
        "RestoreFormer",
        "GPEN",
        "lab",
        "aac",
        "flac",
        "pcm",
        "x264",
        "x265",
        "av1",
        "vp9",
        "h264_nvenc",
        "hevc_nvenc",
        "h264_qsv",
        "h264_videotoolbox",
        "h264_amf",
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "medium",
        "slow",
        "slower",
    }
)
"""Choices that are called the same in every language."""

ENGINES: dict[str, tuple[str, str]] = {
    "Pixelate": ("马赛克", "用少数大方块代替人脸，无法还原。"),
    "Blur": ("模糊", "强烈模糊人脸，无法锐化还原。"),
    "Cover": ("覆盖", "用颜色或随人脸移动的图片盖住人脸。"),
    "Rewrite (built in)": (
        "重组（内置）",
        "从视频中挑选此人自己的口型来配合新语音；无需模型文件，保持原分辨率。",
    ),
    "Wav2Lip": ("Wav2Lip", "用你的 Wav2Lip 模型生成新的嘴部，与声音最吻合。"),
    "Wav2Lip GAN": ("Wav2Lip GAN", "用你的 Wav2Lip GAN 模型生成新的嘴部，更清晰，吻合度略低。"),
    "EdTalk 256": (
        "EdTalk 256",
        "用你的 edtalk_256.onnx 以 256 像素生成新的下半张脸；没有 GPU 时较慢。",
    ),
    "inswapper 128": ("inswapper 128", "用网络换脸，需要你提供模型文件。不可商用。"),
    "inswapper 128 fp16": ("inswapper 128 fp16", "用网络换脸，需要你提供模型文件。不可商用。"),
    "hyperswap 256": ("hyperswap 256", "用网络以 256 像素换脸，需要你提供模型文件。不可商用。"),
    "GHOST 256": ("GHOST 256", "用网络以 256 像素换脸，需要你提供模型文件。"),
    "Mesh (built in)": (
        "网格（内置）",
        "把照片中的脸画到视频中的脸上；无需模型文件，转头 30 度以内效果最好。",
    ),
}
"""English label -> Chinese label and help."""

ERRORS: dict[str, tuple[str, str]] = {
    "FacepickError": (
        "facepick 无法完成这项操作。",
        "请按下面的详情处理。",
    ),
    "UserInputError": ("提供的内容不符合要求。", "请按下面的详情修改后重试。"),
    "VideoOpenError": (
        "文件不存在、不是视频，或其中没有可以解码的画面。",
        "请换一个文件，或先转换为 MP4（H.264）。",
    ),
    "NoAudioError": ("需要声音，但该文件中没有音轨。", "请选择带有声音的文件。"),
    "NoFacesFound": ("没有找到可以使用的人脸。", "请使用人脸更大、更清晰的正面画面。"),
    "SelectionError": ("该人物不在这个视频中，或名字不唯一。", "请在上面的人物列表中重新选择。"),
    "SettingsError": ("某项设置未知、类型不对或超出范围。", "请把该设置改到允许的范围内。"),
    "ConsentRequired": (
        "换脸前需要声明你有权使用这两张面孔。",
        "请勾选声明后重试。",
    ),
    "JobNotFound": ("没有这个任务，或其结果已不存在。", "请在“以前的任务”中查看现有任务。"),
    "JobConflict": (
        "该任务尚未完成，它保存的内容已不存在，或视频已被换掉。",
        "请重新查找人物。",
    ),
    "TargetTaken": (
        "结果要写入的位置已有别的文件，没有覆盖它。",
        "已完成的结果保留在任务中，继续该任务即可换一个名字发布。",
    ),
    "SourceChanged": (
        "处理过程中文件被替换或改写，因此没有生成结果。",
        "处理期间请不要改动文件，然后重新开始。",
    ),
    "DiskFull": (
        "磁盘空间不够完成这次渲染。",
        "请释放空间（facepick cache clear、facepick jobs prune），或换到另一块磁盘。",
    ),
    "MissingModelError": (
        "本机上没有所需的模型文件。",
        "请在页面上点击“获取模型”，或把文件放入模型文件夹，也可以改选内置的方式。",
    ),
    "ModelMismatchError": (
        "模型文件的内容与名称不符，或不安全。",
        "请删除该文件，换成正确的文件。",
    ),
    "ToolError": ("facepick 所需的外部程序缺失或出错。", "请按下面的详情处理。"),
    "FfmpegMissing": ("找不到 ffmpeg。", "请安装 ffmpeg，或安装 Python 包 imageio-ffmpeg。"),
    "FfmpegFailed": ("ffmpeg 处理文件时出错。", "请检查输入文件，或换一种格式。"),
    "PackageMissing": ("缺少一个可选的 Python 包。", "请按下面的命令安装后重新启动。"),
    "OutOfMemory": (
        "设备或本机内存不足。",
        "请关闭其他程序、选择较小的视频，或把设备改为 CPU。",
    ),
    "EngineError": ("所选方式在处理人脸时出错。", "请换一种方式，或查看程序日志。"),
    "DuplicateEngineError": ("两个引擎使用了同一个名称。", "请卸载其中一个附加引擎。"),
    "RenderError": (
        "无法解码、编码或写入视频。",
        "请检查磁盘空间和写入权限，或换一种编码器。",
    ),
    "UnusableFace": ("照片中的这张脸无法使用。", "请使用清晰、足够大的正面照片。"),
}
"""Class of an error -> Chinese sentence and what to do next."""

PURPOSES: dict[str, str] = {
    "Tells people apart by their voices (CAM++), for who speaks when.": (
        "按声音区分说话人（CAM++），用于判断谁在何时说话。"
    ),
    "Finds faces and their five landmarks.": "查找人脸及五个关键点。",
    "Says who of several faces speaks: the pictures (LR-ASD).": (
        "判断多张脸中谁在说话：画面部分（LR-ASD）。"
    ),
    "Says who of several faces speaks: the sound beside the pictures (LR-ASD).": (
        "判断多张脸中谁在说话：配合画面的声音部分（LR-ASD）。"
    ),
    "Places 468 points on a face.": "在人脸上定位 468 个点。",
    "Finds palms, for hands in front of a face.": "查找手掌，用于识别脸前的手。",
    "Places 21 points on a hand.": "在手上定位 21 个点。",
    "Says when somebody speaks, in 16 kHz audio.": "判断声音中何时有人说话。",
    "Tells people apart by their faces.": "按面孔区分人物。",
    "Restores the detail of a face.": "修复面部细节。",
    "Restores the detail of a face; the user sets how faithful.": "修复面部细节，可调节保真度。",
    "Lip sync that follows the sound most closely.": "与声音最吻合的口型同步。",
    "Lip sync with a sharper mouth.": "嘴部更清晰的口型同步。",
    "Lip sync that follows the sound most closely, without torch.": (
        "与声音最吻合的口型同步，无需 torch。"
    ),
    "Lip sync with a sharper mouth, without torch.": "嘴部更清晰的口型同步，无需 torch。",
    "Lip sync at 256 pixels.": "256 像素的口型同步。",
    "Face swap at 128 pixels.": "128 像素换脸。",
    "Face swap at 128 pixels, half the size.": "128 像素换脸，文件减半。",
    "Describes the source face for inswapper; also recognises people (ArcFace).": (
        "为 inswapper 描述源面孔，也可识别人物（ArcFace）。"
    ),
    "Face swap at 256 pixels.": "256 像素换脸。",
    "Turns an ArcFace description of a face into the one that ghost wants.": (
        "把 ArcFace 面孔描述转换为 ghost 所需的描述。"
    ),
    "Restores the detail of a face, without torch.": "修复面部细节，无需 torch。",
    "Restores the detail of a face; the user sets how faithful. Without torch.": (
        "修复面部细节，可调节保真度，无需 torch。"
    ),
    "Restores the detail of a small face, quickly.": "快速修复小脸的细节。",
    "Measures how well lips and sound agree.": "测量口型与声音的吻合程度。",
    "Tells a face from what is in front of it.": "区分人脸与脸前的遮挡物。",
    "Guesses whether a picture is unsafe for work; only used when it is there.": (
        "判断画面是否不宜公开；仅在文件存在时使用。"
    ),
    "Finds faces the classic way (Haar cascade).": "经典的人脸检测（Haar 级联）。",
    "Finds faces and their five landmarks (CenterFace).": "查找人脸及五个关键点（CenterFace）。",
    "Finds faces and their five landmarks (SCRFD).": "查找人脸及五个关键点（SCRFD）。",
    "Tells people apart by their faces (dlib).": "按面孔区分人物（dlib）。",
    "Tells people apart by their faces (FaceNet of David Sandberg).": (
        "按面孔区分人物（David Sandberg 的 FaceNet）。"
    ),
}
"""Purpose of a model file in English -> Chinese."""

EXIT_CODES: dict[int, str] = {2: "UserInputError", 3: "ToolError", 5: "FacepickError"}
"""How a job ended that failed -> the class whose words fit."""
