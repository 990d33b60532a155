"""What a model file may name: layers, functions and operations of Keras that only compute.

None of them runs code, opens a file or loads anything that its arguments name.
"""

from fashion_mnist.model_files.names import AUGMENTATIONS, LAYERS

CONTAINERS = frozenset({"Sequential", "Functional", "Model"})
WRAPPERS = frozenset({"Bidirectional", "SpectralNormalization", "TimeDistributed"})

# Random* too, whatever its name. In prediction these give what they take.
WITHOUT_EFFECT = AUGMENTATIONS | frozenset(
    """ActivityRegularization AlphaDropout AugMix CutMix Dropout GaussianDropout GaussianNoise
    MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
    RandomCrop RandomElasticTransform RandomGaussianBlur RandomGrayscale RandomHeight RandomHue
    RandomInvert RandomPerspective RandomPosterization RandomSaturation RandomSharpness
    RandomShear RandomWidth SpatialDropout1D SpatialDropout2D SpatialDropout3D""".split()
)
COMPUTING = (
    (LAYERS - WITHOUT_EFFECT)
    | WRAPPERS
    | frozenset(
        """AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveMaxPooling1D
        AdaptiveMaxPooling2D Add AdditiveAttention Attention Average AveragePooling1D
        AveragePooling3D CenterCrop Concatenate Conv1D Conv1DTranspose Conv2DTranspose Conv3D
        Conv3DTranspose ConvLSTM1D ConvLSTM2D Cropping1D Cropping3D DepthwiseConv1D Dot EinsumDense
        GRU GlobalAveragePooling1D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling3D
        Identity InputLayer LSTM Masking MaxPooling1D MaxPooling3D Maximum Minimum
        MultiHeadAttention Multiply Normalization RMSNormalization RepeatVector Resizing
        SeparableConv1D SimpleRNN Subtract UpSampling1D UpSampling3D ZeroPadding1D
        ZeroPadding3D""".split()
    )
)
ACTIVATIONS = frozenset(
    """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
    leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink
    softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh
    tanh_shrink""".split()
)
# Layers that also serve as the activation of another.
ACTIVATING = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU"})

# What Keras 3 writes where a network computes with its tensors, as in `image / 255`.
OPERATIONS = {
    **dict.fromkeys(
        """Absolute Add Clip Concatenate Divide Exp ExpandDims Log Max Maximum Mean Minimum
        Multiply Negative Power Reshape Sqrt Square Squeeze Subtract Sum Transpose
        TrueDivide""".split(),
        "keras.src.ops.numpy",
    ),
    **dict.fromkeys(
        """Elu Gelu HardSigmoid HardSilu LeakyRelu LogSoftmax Relu Relu6 Selu Sigmoid Silu
        Softmax Softplus Softsign""".split(),
        "keras.src.ops.nn",
    ),
}
# The same in a file of Keras 2, which names functions of TensorFlow.
TENSORFLOW_FUNCTIONS = {
    "__operators__.add": "Add",
    "cast": "Identity",  # all computing is in float32
    "expand_dims": "ExpandDims",
    "math.add": "Add",
    "math.divide": "TrueDivide",
    "math.multiply": "Multiply",
    "math.sigmoid": "Sigmoid",
    "math.subtract": "Subtract",
    "math.truediv": "TrueDivide",
    "nn.log_softmax": "LogSoftmax",
    "nn.relu": "Relu",
    "nn.sigmoid": "Sigmoid",
    "nn.softmax": "Softmax",
}
